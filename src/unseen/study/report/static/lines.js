// Which lines the charts show. The style sheet reads the boxes; several legends have a box for one line, and these
// are kept equal here.

const boxes = [...document.querySelectorAll("input[data-line]")];
const first = new Map(boxes.map((box) => [box, box.defaultChecked]));

for (const box of boxes) {
  box.addEventListener("change", () => {
    for (const other of boxes) if (other.dataset.line === box.dataset.line) other.checked = box.checked;
  });
}

for (const button of document.querySelectorAll("button[data-show]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    for (const box of boxes) box.checked = button.dataset.show === "some" ? first.get(box) : button.dataset.show === "all";
  });
}
