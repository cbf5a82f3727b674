// What the scripts of parts share. Each of them says `part(name, mount)`.
"use strict";

function part(name, mount) {
  for (const element of document.querySelectorAll(`[data-part="${name}"]`)) {
    const data = element.querySelector('script[type="application/json"]');
    mount(element, JSON.parse(data.textContent));
  }
}

// Texts are always set as texts: the page's policy lets no script write markup.
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function threeDigits(value) {
  return value.toFixed(Math.abs(value) < 9.995 ? 2 : Math.abs(value) < 99.95 ? 1 : 0);
}

// A duration as the terminal writes it: three significant digits and a unit.
function durationText(ns) {
  if (ns < 0) return "-" + durationText(-ns);
  if (ns < 1e3) return `${ns} ns`;
  for (const [unit, size] of [["µs", 1e3], ["ms", 1e6]]) {
    const digits = threeDigits(ns / size);
    if (ns < 1e3 * size && digits !== "1000") return `${digits} ${unit}`;
  }
  const digits = threeDigits(ns / 1e9);
  if (ns < 60e9 && digits !== "60.0") return `${digits} s`;
  const seconds = Math.round(ns / 1e9), two = number => String(number).padStart(2, "0");
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${two(hours)} h`;
  return hours ? `${hours} h ${two(minutes)} m` : `${minutes} m ${two(seconds % 60)} s`;
}

// Headings of tables sort by what their cells hold: numbers by their exact values, the greatest first.
function sortable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, at) => {
    const cell = row.cells[at], exact = cell.querySelector("data");
    return exact ? Number(exact.value) : cell.textContent;
  };
  const sort = at => {
    const isDescending = heads[at].ariaSort === "none" ? heads[at].classList.contains("number") : heads[at].ariaSort === "ascending";
    for (const head of heads) head.ariaSort = "none";
    heads[at].ariaSort = isDescending ? "descending" : "ascending";
    const step = isDescending ? -1 : 1;
    const order = (one, other) => {
      const [left, right] = [value(one, at), value(other, at)];
      if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
      return step * (typeof left === "number" ? left - right : left.localeCompare(right));
    };
    body.append(...[...body.rows].sort(order));
  };
  heads.forEach((head, at) => {
    if (!head.textContent) return;
    head.ariaSort = "none";
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(at));
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(at); });
  });
}
for (const table of document.querySelectorAll("table:not(.matrix)")) if (table.tBodies[0].rows.length > 1) sortable(table);
