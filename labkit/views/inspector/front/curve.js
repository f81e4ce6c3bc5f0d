// The ROC curve, drawn by Python as SVG, with its operating point. A click or drag sends {fpr, tpr}.
function render({ model, el }) {
  const holder = document.createElement("div");
  el.append(holder);
  let svg = null;
  let last = 0;

  const box = () => svg.dataset.box.split(" ").map(Number); // left, top and side of the frame
  const drawPoint = () => {
    const [fpr, tpr] = model.get("point");
    const known = Number.isFinite(fpr) && Number.isFinite(tpr);
    const point = svg.querySelector(".lk-point");
    const cross = svg.querySelector(".lk-cross");
    for (const node of [cross, point]) node.style.display = known ? "" : "none";
    if (!known) return;
    const [left, top, side] = box();
    const x = left + fpr * side;
    const y = top + (1 - tpr) * side;
    point.setAttribute("cx", x);
    point.setAttribute("cy", y);
    cross.setAttribute("d", `M${left} ${y}H${x}V${top + side}`);
  };
  const pick = (event) => {
    const shown = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / shown.width;
    const [left, top, side] = box();
    const fpr = ((event.clientX - shown.left) * scale - left) / side;
    const tpr = 1 - ((event.clientY - shown.top) * scale - top) / side;
    last = event.timeStamp;
    model.send({ fpr: Math.min(1, Math.max(0, fpr)), tpr: Math.min(1, Math.max(0, tpr)) });
  };
  const draw = () => {
    holder.innerHTML = model.get("svg");
    svg = holder.firstElementChild;
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      pick(event);
    });
    svg.addEventListener("pointermove", (event) => {
      if (svg.hasPointerCapture(event.pointerId) && event.timeStamp - last > 60) pick(event);
    });
    drawPoint();
  };
  model.on("change:svg", draw);
  model.on("change:point", drawPoint);
  draw();
}

export default { render };
