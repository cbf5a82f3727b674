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
