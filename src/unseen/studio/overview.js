// A small picture of the whole photograph: a press, or an arrow key, says which part of it to show pixel by pixel.

const button = element.querySelector("button");

/** Ask for the part around a place, given in shares of width and height. */
function show(x, y) {
  const [across, down] = [x, y].map((share) => Math.min(Math.max(share, 0), 1));
  trigger("select", { x: across, y: down });
}

button.addEventListener("click", (event) => {
  if (!event.detail) return;  // made by a key, and at no place
  const box = button.getBoundingClientRect();
  show((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
});
button.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const frame = button.querySelector("i");
  if (!steps || !frame) return;
  event.preventDefault();
  const { left, top, width, height } = frame.style;  // the next part overlaps this one by half
  const middle = (start, size, step) => (parseFloat(start) + parseFloat(size) * (1 + step) / 2) / 100;
  show(middle(left, width, steps[0]), middle(top, height, steps[1]));
});
