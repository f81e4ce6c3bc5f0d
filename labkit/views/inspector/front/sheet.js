// A sheet of cards, one an object: a line of text and its pictures. A click sends {pick: index}.
function make(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function card(item, index, model) {
  const node = make("div", "lk-card");
  node.dataset.id = item.id;
  const head = make("div", "lk-card-head");
  head.append(make("span", "lk-card-id", item.id), make("span", "lk-card-p", item.probability));
  if (item.verdict) head.append(make("span", `lk-badge lk-${item.verdict}`, item.mark));
  node.append(head);
  const strip = make("div", "lk-strip");
  for (const uri of item.pictures) {
    const picture = make("img", "lk-picture");
    picture.src = uri;
    picture.draggable = false;
    strip.append(picture);
  }
  node.append(strip, make("div", "lk-card-foot", item.foot));
  node.title = item.title;
  node.addEventListener("click", () => model.send({ pick: index }));
  return node;
}

function render({ model, el }) {
  const sheet = make("div", "lk-sheet");
  el.append(sheet);

  const mark = () => {
    const chosen = model.get("chosen");
    [...sheet.children].forEach((node, index) => node.classList.toggle("lk-chosen", index === chosen));
  };
  const draw = () => {
    const cards = model.get("cards");
    const columns = model.get("columns");
    sheet.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const nodes = cards.map((item, index) => card(item, index, model));
    sheet.replaceChildren(...(nodes.length ? nodes : [make("div", "lk-empty", model.get("empty"))]));
    mark();
  };
  model.on("change:cards", draw);
  model.on("change:columns", draw);
  model.on("change:empty", draw);
  model.on("change:chosen", mark);
  draw();
}

export default { render };
