// What the scripts of parts begin with: each says `part(name, mount)`.
"use strict";
function part(name, mount) {
  for (const element of document.querySelectorAll(`[data-part="${name}"]`)) {
    const data = element.querySelector('script[type="application/json"]');
    mount(element, JSON.parse(data.textContent));
  }
}
