// The gallery: two pictures of one image under one level, one clipped over the other, and all of them below.

const part = (name) => document.getElementById(`gallery-${name}`);
const { images, levels, labels, pictures, sources, start } = JSON.parse(part("data").textContent);
const image = part("image"), distortion = part("distortion"), severity = part("severity");
const left = part("left"), right = part("right"), divider = part("divider");
let level = start.level; // its place in `levels`; what the slider counts are those of one distortion and image

const options = (texts, values = texts) => texts.map((text, i) => new Option(text, values[i]));
const takenOf = (i) => pictures[image.value][i];
const inWords = ({ distortion, degree }) => `${distortion} ${degree}`;

/** Levels that the chosen image was taken under, mildest first. */
function available() {
  return [...levels.keys()].filter((i) => Object.keys(takenOf(i)).length);
}

/** Those of the distortion in hand: what the slider runs over. */
function stops() {
  return available().filter((i) => levels[i].distortion === levels[level].distortion);
}

/** Let the controls offer what there is for this image, and keep the choice where that is possible. */
function offer() {
  const there = available();
  if (!there.includes(level)) level = there.at(-1);
  const kinds = [...new Set(there.map((i) => levels[i].distortion))];
  distortion.replaceChildren(...options(kinds));
  distortion.value = levels[level].distortion;
  distortion.disabled = kinds.length < 2;
  severity.max = stops().length - 1;
  severity.value = stops().indexOf(level);
  severity.disabled = stops().length < 2;
  severity.setAttribute("aria-valuetext", `${inWords(levels[level])}, ${levels[level].split}`);
  for (const side of [left, right]) {
    for (const option of side.options) option.disabled = !takenOf(level)[option.value];
    if (side.selectedOptions[0].disabled) side.value = Object.keys(takenOf(level))[0];
  }
}

/** A picture into a frame, its name and PSNR into the caption. */
function put(frame, caption, label) {
  const { source, psnr, width, height } = takenOf(level)[label];
  Object.assign(frame, { src: sources[source], width, height });
  caption.querySelector("b").textContent = label;
  caption.querySelector("span").textContent = psnr;
}

/** All pictures of this image and level, each a button that puts it on the right. */
function putAll() {
  const focused = document.activeElement.dataset.label;
  const there = labels.filter((label) => takenOf(level)[label]);
  part("all").replaceChildren(...there.map((label) => {
    const button = part("one").content.firstElementChild.cloneNode(true);
    button.dataset.label = label;
    button.setAttribute("aria-pressed", label === right.value);
    put(button.querySelector("img"), button, label);
    return button;
  }));
  if (there.includes(focused)) part("all").children[there.indexOf(focused)].focus();
}

function show() {
  offer();
  part("level").textContent = inWords(levels[level]);
  part("split").textContent = levels[level].split;
  part("split").className = `tag ${levels[level].split}`;
  for (const side of [left, right]) {
    const frame = part(`${side.name}-picture`);
    put(frame, part(`${side.name}-caption`), side.value);
    frame.alt = `${side.value}: ${images[image.value].name}, ${inWords(levels[level])}`;
  }
  divide();
  putAll();
}

/** Tell the divider what is on its sides. */
function divide() {
  Object.assign(part("frame").dataset, { left: left.value, right: right.value });
  divider.dispatchEvent(new Event("input"));
}

image.replaceChildren(...options(images.map(({ name, note }) => name + note), [...images.keys()]));
for (const side of [left, right]) {
  side.replaceChildren(...options(labels));
  side.value = start[side.name];
}
for (const control of [image, left, right]) control.addEventListener("change", show);
distortion.addEventListener("change", () => {
  level = available().findLast((i) => levels[i].distortion === distortion.value);
  show();
});
severity.addEventListener("input", () => {
  level = stops()[severity.value];
  show();
});
part("swap").addEventListener("click", () => {
  [left.value, right.value] = [right.value, left.value];
  show();
});
part("all").addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  right.value = button.dataset.label;
  show();
});
show();
part("whole").hidden = false;
