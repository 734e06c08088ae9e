// Tables are sorted by a press on a heading: numbers from the highest, text from A, then the other way round,
// then as they were. Cells without a number stay last.

/** What a cell is sorted by: a number where it begins with one ("28.41 ±0.12" is 28.41), else its text. */
function keyOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = parseFloat(text.replace(/^< */, "").replace("\u2212", "-").replace("∞", "Infinity"));
  return cell.tagName === "TH" || Number.isNaN(number) ? text : number;
}

function compare(a, b, sign) {
  const numbers = [a, b].map((key) => typeof key === "number");
  if (numbers[0] && numbers[1]) return a === b ? 0 : sign * (a - b);
  if (numbers[0] || numbers[1]) return numbers[0] ? -1 : 1;
  return sign * a.localeCompare(b, "en", { numeric: true });
}

function sort(table, heading, order, original) {
  const column = [...heading.parentElement.cells].indexOf(heading);
  const keys = new Map(original.map((row) => [row, keyOf(row.cells[column])]));
  const sign = order === "descending" ? -1 : 1;
  const rows = order ? [...original].sort((a, b) => compare(keys.get(a), keys.get(b), sign)) : original;
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  if (order) heading.setAttribute("aria-sort", order);
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const original = [...table.tBodies[0].rows];
  for (const heading of table.tHead.rows[table.tHead.rows.length - 1].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const column = [...heading.parentElement.cells].indexOf(heading);
      const isText = original.every((row) => typeof keyOf(row.cells[column]) === "string");
      const cycle = isText ? ["ascending", "descending", null] : ["descending", "ascending", null];
      sort(table, heading, cycle[(cycle.indexOf(heading.getAttribute("aria-sort")) + 1) % 3], original);
    });
  }
}
