// Two pictures in one frame: the left one up to the divider, the right one beyond it. `data-left` and `data-right` of the
// frame name them.

for (const frame of document.querySelectorAll(".divided")) {
  const divider = frame.querySelector("input");
  divider.addEventListener("input", () => {
    frame.style.setProperty("--at", `${divider.value}%`);
    const { left, right } = frame.dataset;
    divider.setAttribute("aria-valuetext", `${Math.round(divider.value)} % ${left}, the rest ${right}`);
  });
  divider.dispatchEvent(new Event("input"));
}
