// Keyboard of the whole inspector. Listens on the nearest .labkit-inspector and sends {key, object} to Python.
// JupyterLab's own shortcuts (A inserts a cell, D D deletes one) must not see these keys: it ignores
// elements that carry data-lm-suppress-shortcuts.
const KEYS = new Set([
  "a", "r", "d", "u", "y", "c", "m", "1", "2", "3", "4", "5", "6", "7", "8", "9",
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home",
]);

function writes(target) {
  return target.closest("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable=true]");
}

function render({ model, el }) {
  el.style.display = "none";
  let root = null;
  let waiting = 0;

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const note = event.target.closest(".lk-note");
    if (event.key === "Escape" || (note && event.key === "Enter")) {
      root.focus({ preventScroll: true }); // leaving the field saves the note
      return;
    }
    const onSlider = event.target.closest(".noUi-handle") && /^(Arrow|Page|Home)/.test(event.key);
    if (writes(event.target) || onSlider || !(KEYS.has(event.key) || event.key === "n")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "n") {
      root.querySelector(".lk-note input").focus(); // at once: what is typed next belongs to the note
      return;
    }
    const chosen = root.querySelector(".lk-card.lk-chosen"); // what the reader sees
    model.send({ key: event.key, object: chosen ? chosen.dataset.id : "" });
  };
  const onFocus = (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true");
  const onPointer = (event) => {
    if (!event.target.closest("input, textarea, select, button, a, label, .noUi-target")) {
      root.focus({ preventScroll: true });
    }
  };

  const attach = () => {
    root = el.closest(".labkit-inspector");
    if (!root) {
      waiting = requestAnimationFrame(attach);
      return;
    }
    root.tabIndex = 0;
    root.addEventListener("keydown", onKey, true); // text fields stop their keys on the way up
    root.addEventListener("focusin", onFocus);
    root.addEventListener("click", onPointer);
    root.dataset.ready = "true";
  };
  attach();

  return () => {
    cancelAnimationFrame(waiting);
    if (!root) return;
    root.removeEventListener("keydown", onKey, true);
    root.removeEventListener("focusin", onFocus);
    root.removeEventListener("click", onPointer);
  };
}

export default { render };
