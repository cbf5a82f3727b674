// A trace as a tree beside bars. Only the rows in sight are elements, so that ten thousand spans scroll smoothly.
"use strict";
part("timeline", (root, data) => {
  const ERROR = 1, ASYNC = 2, PLACEHOLDER = 4, FLAGGED = 8, MATCH = 16;
  const ON_PATH = 1, REMARKABLE = 2, SOUGHT = 4;
  const SURROUNDINGS = 300, PRINTED = 400, OVERSCAN = 12, STEP = 13, BRIEF = 40;
  const count = data.depth.length, whole = Math.max(data.duration, 1);
  const find = name => root.querySelector(`.${name}`);
  const [rowsBox, sheet, pool, scale, map, frame] = ["rows", "sheet", "pool", "scale", "map", "frame"].map(find);
  const [search, matchCount, panel, head] = ["search", "match-count", "panel", "head"].map(find);
  const parents = new Int32Array(count).fill(-1), ends = new Int32Array(count), folded = new Uint8Array(count);
  const leads = new Uint8Array(count);
  const narrow = matchMedia("(max-width: 44rem)"), dark = matchMedia("(prefers-color-scheme: dark)");
  const made = [];
  let visible = [], selected = 0, from = 0, to = whole, matches = [], matching = new Set(), pathOnly = false, matchOnly = false, isPrinting = false;

  function readTree() {
    const open = [];
    for (let row = 0; row < count; row++) {
      while (open.length && data.depth[open.at(-1)] >= data.depth[row]) ends[open.pop()] = row;
      parents[row] = open.length ? open.at(-1) : -1;
      open.push(row);
    }
    for (const row of open) ends[row] = count;
    // From the last one up: whoever leads to the path, to a failure or to the answer is worth being shown.
    for (let row = count - 1; row >= 0; row--) {
      if (data.path[row]) leads[row] |= ON_PATH;
      if (data.marks[row] & (ERROR | FLAGGED)) leads[row] |= REMARKABLE;
      if (data.marks[row] & MATCH) leads[row] |= SOUGHT;
      if (parents[row] >= 0) leads[parents[row]] |= leads[row];
    }
  }

  function foldSurroundings() {
    for (let row = 0; row < count; row++) folded[row] = leads[row] === 0 && ends[row] > row + 1 ? 1 : 0;
  }

  const isWanted = row => (!pathOnly || leads[row] & ON_PATH) && (!matchOnly || leads[row] & SOUGHT);

  function showAll() {
    pathOnly = matchOnly = false;
    find("path-only").checked = find("match-only").checked = false;
  }

  function refresh() {
    visible = [];
    for (let row = 0; row < count;) {
      if (isWanted(row)) visible.push(row);
      row = folded[row] ? ends[row] : row + 1;
    }
    if (!visible.includes(selected)) selected = visible.findLast(row => row <= selected) ?? visible[0] ?? 0;
    sheet.style.height = `${visible.length * height()}px`;
    find("row-count").textContent = visible.length < count ? `${visible.length.toLocaleString("en")} of ${count.toLocaleString("en")} rows` : "";
    draw();
  }

  const height = () => (narrow.matches ? 42 : 22);
  const label = row => data.strings[data.label[row]];

  function newRow() {
    const element = make("div", "row");
    element.setAttribute("role", "treeitem");
    for (const name of ["name", "time", "own", "lane"]) element.append(make("span", name));
    element.addEventListener("click", event => {
      select(element.row);
      if (event.target.closest(".twisty")) toggle(element.row);
      else openDetails();
    });
    element.lastChild.addEventListener("dblclick", () => zoomTo(element.row));
    return element;
  }

  // Of rows that were in sight before, those that stay as they were are left alone.
  function draw(isScrolled = false) {
    const each = height();
    const first = isPrinting ? 0 : Math.max(Math.floor(rowsBox.scrollTop / each) - OVERSCAN, 0);
    const last = isPrinting ? Math.min(visible.length, PRINTED) : Math.min(Math.ceil((rowsBox.scrollTop + rowsBox.clientHeight) / each) + OVERSCAN, visible.length);
    const isEnough = made.length >= last - first;
    while (made.length < last - first) { made.push(newRow()); pool.append(made.at(-1)); }
    for (const element of made) element.isUsed = false;
    for (let at = first; at < last; at++) {
      const element = made[at % made.length];
      if (!isScrolled || !isEnough || element.at !== at || element.hidden) fill(element, visible[at], at * each);
      element.at = at;
      element.isUsed = true;
    }
    for (const element of made) element.hidden = !element.isUsed;
    if (count) rowsBox.setAttribute("aria-activedescendant", `${root.id}-${selected}`);
  }

  function fill(element, row, top) {
    const marks = data.marks[row], hasChildren = ends[row] > row + 1, [, hue] = data.services[data.service[row]];
    element.row = row;
    element.id = `${root.id}-${row}`;
    element.className = `row hue-${hue}${row === selected ? " selected" : ""}${marks & FLAGGED ? " flagged" : ""}`
      + `${marks & ASYNC ? " async" : ""}${matching.has(row) ? " match" : ""}${data.path[row] ? " on-path" : ""}`;
    element.style.top = `${top}px`;
    element.setAttribute("aria-level", data.depth[row] + 1);
    element.setAttribute("aria-selected", row === selected);
    if (hasChildren) element.setAttribute("aria-expanded", !folded[row]);
    else element.removeAttribute("aria-expanded");
    const [name, time, own, lane] = element.children;
    fillName(name, row, hasChildren);
    time.textContent = durationText(data.length[row]);
    own.textContent = data.self[row] < 0 ? "" : durationText(data.self[row]);
    fillLane(lane, row);
  }

  function fillName(name, row, hasChildren) {
    const marks = data.marks[row], depth = data.depth[row], room = narrow.matches ? 8 : 24;
    const [service, hue] = data.services[data.service[row]];
    name.style.paddingLeft = `${Math.min(depth, room) * STEP}px`;
    const twisty = make("span", hasChildren ? "twisty" : "leaf", hasChildren ? (folded[row] ? "▸" : "▾") : "");
    const pieces = [twisty];
    if (depth > room) pieces.push(make("span", "quiet", `⋯${depth} `));
    if (marks & ERROR) pieces.push(make("span", "error", "! "));
    const times = data.count[row] > 1 ? ` × ${data.count[row].toLocaleString("en")}` : "";
    pieces.push(make("span", marks & PLACEHOLDER ? "label quiet" : "label", label(row) + times));
    pieces.push(make("span", `service hue-${hue}`, service));
    if (folded[row]) pieces.push(make("span", "quiet", `+${(ends[row] - row - 1).toLocaleString("en")}`));
    name.replaceChildren(...pieces);
    name.title = `${label(row)} · ${service}`;
  }

  const place = time => (time - from) / (to - from) * 100;

  function bar(className, start, end) {
    const element = make("span", className);
    const left = Math.max(place(start), -1), right = Math.min(place(end), 101);
    element.style.left = `${left}%`;
    element.style.width = `${Math.max(right - left, 0)}%`;
    return element;
  }

  function fillLane(lane, row) {
    const start = data.start[row], end = start + data.length[row], pieces = [];
    if (end >= from && start <= to) pieces.push(bar("span", start, end));
    const path = data.path[row] || [];
    let seen = -Infinity;
    for (let at = 0; at < path.length; at += 2) {
      // Stretches that fall on one pixel are one.
      if (path[at + 1] < from || path[at] > to || place(path[at + 1]) - seen < 0.05) continue;
      seen = place(path[at + 1]);
      pieces.push(bar("stretch", path[at], path[at + 1]));
    }
    const note = data.note[row] < 0 ? "" : data.strings[data.note[row]];
    if (note) pieces.push(noteBeside(note, place(start), place(end)));
    lane.replaceChildren(...pieces);
  }

  // Where there is room for a remark: after the bar, before it, or else on it.
  function noteBeside(note, left, right) {
    const element = make("span", "note", note), needed = note.length * 7 + 12, width = scale.clientWidth;
    element.title = note;
    if (right <= 100 && (100 - right) / 100 * width >= needed) element.style.left = `calc(${Math.max(right, 0)}% + 6px)`;
    else if (left / 100 * width >= needed) element.style.right = `calc(${Math.max(100 - left, 0)}% + 6px)`;
    else {
      element.classList.add("over");
      element.style[left > 100 - right ? "left" : "right"] = "0";
    }
    return element;
  }

  function drawScale() {
    const width = scale.clientWidth, span = to - from, most = Math.max(Math.floor(width / 90), 1);
    let step = 10 ** Math.floor(Math.log10(span / most));
    for (const factor of [1, 2, 5, 10]) if (span / (step * factor) <= most) { step *= factor; break; }
    const ticks = [], first = Math.ceil(from / step) * step;
    for (let time = first; time <= to; time += step) {
      // Far into a long trace three digits tell no two ticks apart: all but the first say how much later they are.
      const isLater = step < from / 100 && ticks.length > 0;
      const tick = make("span", "tick", isLater ? `+${durationText(Math.round(time - first))}` : durationText(Math.round(time)));
      tick.style.left = `${place(time)}%`;
      if (place(time) < 92) ticks.push(tick);
    }
    scale.replaceChildren(...ticks);
    root.style.setProperty("--tick", `${step / span * width}px`);
    root.style.setProperty("--first-tick", `${place(first) / 100 * width}px`);
  }

  function drawMap() {
    const ratio = devicePixelRatio || 1, width = map.clientWidth, high = map.clientHeight;
    map.width = width * ratio;
    map.height = high * ratio;
    const paint = map.getContext("2d"), styles = getComputedStyle(root);
    const hues = Array.from({ length: 12 }, (_, hue) => styles.getPropertyValue(`--hue-${hue}`));
    const thick = Math.max(high / Math.max(count, 1), 1);
    paint.scale(ratio, ratio);
    for (let row = 0; row < count; row++) {
      paint.fillStyle = hues[data.services[data.service[row]][1]];
      const y = row / count * high, x = data.start[row] / whole * width;
      paint.globalAlpha = data.path[row] ? 0.5 : 0.35;
      paint.fillRect(x, y, Math.max(data.length[row] / whole * width, 0.5), thick);
      paint.globalAlpha = 1;
      const path = data.path[row] || [];
      for (let at = 0; at < path.length; at += 2) {
        paint.fillRect(path[at] / whole * width, y, Math.max((path[at + 1] - path[at]) / whole * width, 0.5), Math.max(thick, 2));
      }
    }
    frame.hidden = from === 0 && to === whole;
    frame.style.left = `${from / whole * 100}%`;
    frame.style.width = `${(to - from) / whole * 100}%`;
  }

  function zoom(start, end) {
    const least = Math.max(whole / 1e6, 1), middle = (start + end) / 2, half = Math.max(end - start, least) / 2;
    from = Math.max(middle - half, 0);
    to = Math.min(middle + half, whole);
    if (to - from < least) [from, to] = [Math.max(to - least, 0), Math.max(to - least, 0) + least];
    find("reset").disabled = from === 0 && to === whole;
    drawScale();
    drawMap();
    draw();
  }

  function zoomBy(factor, at = 0.5) {
    const span = Math.min((to - from) * factor, whole), fixed = from + (to - from) * at;
    const start = Math.min(Math.max(fixed - span * at, 0), whole - span);
    zoom(start, start + span);
  }

  function zoomTo(row) {
    const margin = data.length[row] * 0.05;
    zoom(data.start[row] - margin, data.start[row] + data.length[row] + margin);
  }

  // Dragging over the map or the scale chooses the stretch of time that is shown.
  function choose(surface, toTime) {
    surface.addEventListener("pointerdown", event => {
      const began = toTime(event);
      surface.setPointerCapture(event.pointerId);
      surface.onpointerup = ended => {
        surface.onpointerup = null;
        const [start, end] = [began, toTime(ended)].sort((a, b) => a - b);
        if (end - start > (to - from) / 200) zoom(start, end);
      };
    });
    surface.addEventListener("dblclick", () => zoom(0, whole));
  }

  const fraction = (event, surface) => {
    const box = surface.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };

  function select(row) {
    for (let above = parents[row]; above >= 0; above = parents[above]) if (folded[above]) folded[above] = 0;
    if (!isWanted(row)) showAll();
    selected = row;
    refresh();
    const top = visible.indexOf(row) * height(), room = rowsBox.clientHeight - height();
    if (top < rowsBox.scrollTop) rowsBox.scrollTop = top;
    else if (top > rowsBox.scrollTop + room) rowsBox.scrollTop = top - room / 2;
    draw();
    if (!panel.hidden) openDetails();
  }

  function toggle(row, wanted = !folded[row]) {
    if (ends[row] > row + 1) folded[row] = wanted ? 1 : 0;
    refresh();
  }

  function openDetails() {
    const row = selected, [service] = data.services[data.service[row]], facts = make("dl");
    const add = (name, value) => facts.append(make("dt", "", name), make("dd", "", value));
    // Where everything is known, that a span is of another service than it calls is known, too.
    if (!data.details[row]) add("service", service);
    if (data.id[row]) add("span", data.id[row]);
    add("starts", `+${durationText(data.start[row])}`);
    add("duration", durationText(data.length[row]));
    if (data.self[row] >= 0) add("self", durationText(data.self[row]));
    const path = data.path[row] || [];
    if (path.length) add("on the path", durationText(path.reduce((sum, time, at) => sum + (at % 2 ? time : -time), 0)));
    if (data.note[row] >= 0) add("remark", data.strings[data.note[row]]);
    const title = make("h3", data.marks[row] & ERROR ? "error" : "", label(row)), close = make("button", "close", "×");
    close.type = "button";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", closeDetails);
    panel.replaceChildren(close, title, facts);
    for (const number of data.details[row] || []) {
      const [heading, ...pairs] = data.groups[number].map(at => data.strings[at]), list = make("dl");
      for (let at = 0; at < pairs.length; at += 2) list.append(make("dt", "", pairs[at]), make("dd", "", pairs[at + 1]));
      if (heading) panel.append(make("h4", "", heading));
      panel.append(list);
    }
    if (panel.hidden) { panel.hidden = false; layOut(); }
  }

  function closeDetails() {
    panel.hidden = true;
    layOut();
    rowsBox.focus();
  }

  // Texts are few and shared: the search looks at each once, then at numbers alone. Without a text, what the page
  // was made to show is what there is to find.
  function look() {
    const wanted = search.value.trim().toLowerCase();
    const texts = new Set(), groups = new Set();
    if (wanted) data.strings.forEach((text, at) => { if (text.toLowerCase().includes(wanted)) texts.add(at); });
    data.groups.forEach((group, at) => { if (group.some((text, place) => place && texts.has(text))) groups.add(at); });
    const services = data.services.map(([name]) => name.toLowerCase().includes(wanted));
    matches = [];
    for (let row = 0; row < count; row++) {
      if (wanted === "" ? data.marks[row] & MATCH : texts.has(data.label[row]) || services[data.service[row]] || texts.has(data.note[row])
        || data.id[row].startsWith(wanted) || (data.details[row] || []).some(group => groups.has(group))) matches.push(row);
    }
    matching = new Set(matches);
    matchCount.textContent = wanted || matches.length ? `${matches.length.toLocaleString("en")} found` : "";
    draw();
  }

  function goToMatch(step) {
    if (!matches.length) return;
    const at = step > 0 ? matches.findIndex(row => row > selected) : matches.findLastIndex(row => row < selected);
    const next = at < 0 ? (step > 0 ? 0 : matches.length - 1) : at;
    select(matches[next]);
    matchCount.textContent = `${(next + 1).toLocaleString("en")} of ${matches.length.toLocaleString("en")}`;
  }

  function move(step) {
    const at = visible.indexOf(selected) + step;
    select(visible[Math.min(Math.max(at, 0), visible.length - 1)]);
  }

  const page = () => Math.max(Math.floor(rowsBox.clientHeight / height()) - 1, 1);
  const KEYS = {
    ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(page()), PageUp: () => move(-page()),
    Home: () => move(-count), End: () => move(count),
    ArrowRight: () => { if (folded[selected]) toggle(selected, false); else if (ends[selected] > selected + 1) move(1); },
    ArrowLeft: () => { if (!folded[selected] && ends[selected] > selected + 1) toggle(selected, true); else if (parents[selected] >= 0) select(parents[selected]); },
    Enter: openDetails, " ": openDetails, "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(2),
    0: () => zoom(0, whole), z: () => zoomTo(selected), n: () => goToMatch(1), p: () => goToMatch(-1),
    "/": () => { root.classList.remove("brief"); search.focus(); }, Escape: () => (panel.hidden ? zoom(0, whole) : closeDetails()),
  };

  function layOut() {
    rowsBox.style.maxHeight = isPrinting ? "none" : "";
    drawScale();
    drawMap();
    refresh();
  }

  rowsBox.addEventListener("keydown", event => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || !count) return;
    event.preventDefault();
    act();
  });
  rowsBox.addEventListener("scroll", () => requestAnimationFrame(() => draw(true)), { passive: true });
  rowsBox.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    zoomBy(Math.exp((event.deltaY || event.deltaX) / 300), fraction(event, scale));
  }, { passive: false });
  panel.addEventListener("keydown", event => { if (event.key === "Escape") closeDetails(); });
  search.addEventListener("input", look);
  search.addEventListener("keydown", event => {
    if (event.key === "Enter") { event.preventDefault(); goToMatch(event.shiftKey ? -1 : 1); }
    if (event.key === "Escape") { search.value = ""; look(); rowsBox.focus(); }
  });
  find("fold-all").addEventListener("click", () => { for (let row = 0; row < count; row++) folded[row] = data.depth[row] && ends[row] > row + 1 ? 1 : 0; refresh(); });
  find("unfold-all").addEventListener("click", () => { folded.fill(0); showAll(); refresh(); });
  find("path-only").addEventListener("change", event => { pathOnly = event.target.checked; refresh(); });
  find("match-only").addEventListener("change", event => { matchOnly = event.target.checked; refresh(); });
  find("reset").addEventListener("click", () => zoom(0, whole));
  find("next-flag").addEventListener("click", () => {
    const flagged = [...data.marks.keys()].filter(row => data.marks[row] & FLAGGED);
    select(flagged.find(row => row > selected) ?? flagged[0]);
    rowsBox.focus();
  });
  choose(map.parentElement, event => fraction(event, map) * whole);
  choose(scale, event => from + fraction(event, scale) * (to - from));
  addEventListener("beforeprint", () => { isPrinting = true; sheet.classList.add("printed"); layOut(); });
  addEventListener("afterprint", () => { isPrinting = false; sheet.classList.remove("printed"); layOut(); });
  narrow.addEventListener("change", layOut);
  dark.addEventListener("change", drawMap);
  new ResizeObserver(() => layOut()).observe(head);

  readTree();
  // Among others a trace that is seen at a glance needs no tools; a slash brings them.
  root.classList.toggle("brief", count <= BRIEF && document.querySelectorAll('[data-part="timeline"]').length > 1);
  if (count > SURROUNDINGS) foldSurroundings();
  find("next-flag").hidden = !data.marks.some(marks => marks & FLAGGED);
  find("path-only").parentElement.hidden = !data.path.some(path => path);
  find("match-only").parentElement.hidden = !data.marks.some(marks => marks & MATCH);
  for (const button of ["fold-all", "unfold-all"]) find(button).hidden = !data.depth.some(depth => depth);
  look();
  layOut();
  if (matches.length) select(matches[0]);
});
