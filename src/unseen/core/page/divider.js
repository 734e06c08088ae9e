// Two pictures in one frame: the left one up to the divider, the right one beyond it. `data-left` and `data-right` of the
// frame name them. Space shows the left one alone, then the right one. In the studio, `element` is the part of the page
// that is loaded.

for (const frame of (typeof element === "undefined" ? document : element).querySelectorAll(".divided")) {
  const divider = frame.querySelector("input");
  divider.addEventListener("input", () => {
    frame.style.setProperty("--at", `${divider.value}%`);
    const { left, right } = frame.dataset;
    divider.setAttribute("aria-valuetext", `${Math.round(divider.value)} % ${left}, the rest ${right}`);
  });
  divider.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();  // else the page scrolls
    divider.value = Number(divider.value) === 100 ? 0 : 100;
    divider.dispatchEvent(new Event("input"));
  });
  divider.dispatchEvent(new Event("input"));
}
