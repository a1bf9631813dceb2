// Rows: the chosen one with its neighbours, what a search finds, groups of near-duplicates.
const MOST_FOUND = 100, MOST_GROUPS = 100, MOST_IN_GROUP = 30;
const past = [];

function rowButton(index, score = null) {
  const scored = score === null ? null : make("span", { className: "score" },
    score.toFixed(3), make("meter", { min: 0, max: 1, value: Math.max(0, score), ariaLabel: "cosine" }));
  const button = make("button", { type: "button", className: "row" },
    make("span", { className: "said" }, titleOf(index)),
    make("span", { className: "where" }, placeOf(index)), scored);
  button.dataset.index = index;
  button.addEventListener("click", () => choose(index));
  return make("li", {}, button);
}

// --- The chosen row ------------------------------------------------------------------------------

function choose(index, remember = true) {
  if (remember && state.chosen >= 0 && state.chosen !== index) past.push(state.chosen);
  state.chosen = index;
  showChosen();
  drawMap();
}

function showChosen() {
  const place = at("details"), index = state.chosen;
  if (index < 0) {
    const how = size ? "Click a point or search for a row, to see it and its nearest neighbours." : "There is no row to show.";
    place.replaceChildren(make("p", { className: "empty" }, how));
    return;
  }
  const back = make("button", { type: "button", className: "back" }, "← Back");
  back.addEventListener("click", () => choose(past.pop(), false));
  const around = report.neighbours[index];
  const list = make("ol", { className: "rows", id: "neighbours" });
  list.style.cssText = "list-style:none;margin:0;padding:0";
  list.append(...around.map((other, i) => rowButton(other, report.scores[index][i])));
  const heading = around.length ? "Nearest neighbours, by cosine" : "It is the only row: it has no neighbours";
  place.replaceChildren(
    ...(past.length ? [back] : []),
    make("div", { className: "chosen" }, make("p", { className: "said" }, titleOf(index)), factList(index)),
    make("h3", {}, heading), list);
  place.scrollTop = 0;
  if (document.activeElement === document.body) place.focus({ preventScroll: true });
}

// --- Search --------------------------------------------------------------------------------------

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let searchable = null;

function search(query) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  searchable ??= report.row.map((_, i) =>
    plain([placeOf(i), ...names.map((name) => valueText(report.columns[name][i]))].join("\n")));
  const found = [];
  for (let i = 0; i < size; i++) {
    if (words.every((word) => searchable[i].includes(word))) found.push(i);
  }
  return found;
}

function showFound() {
  const found = search(at("search").value);
  state.matches = found;
  at("results").hidden = !found?.length;
  at("results").replaceChildren(...(found ?? []).slice(0, MOST_FOUND).map((index) => rowButton(index)));
  const more = found && found.length > MOST_FOUND ? `, the first ${MOST_FOUND} are listed` : "";
  const verb = found?.length === 1 ? "matches" : "match";
  at("matches").textContent = found === null ? "" : `${several(found.length, "row")} ${verb}${more}`;
  drawMap();
}

// Enter takes the first row, arrows go through the list, Escape ends the search.
function steer(event) {
  const buttons = [...at("results").querySelectorAll("button")];
  const place = buttons.indexOf(document.activeElement);
  if (event.key === "Escape") {
    at("search").value = "";
    at("search").focus();
    showFound();
  } else if (event.key === "Enter" && place < 0 && buttons.length) {
    buttons[0].click();
  } else if (event.key === "ArrowDown" && place + 1 < buttons.length) {
    buttons[place + 1].focus();
    event.preventDefault();
  } else if (event.key === "ArrowUp" && place >= 0) {
    (buttons[place - 1] ?? at("search")).focus();
    event.preventDefault();
  }
}

function listenToSearch() {
  let waiting = 0;
  at("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(showFound, 120);
  });
  document.querySelector(".find").addEventListener("keydown", steer);
}

// --- Near-duplicates -----------------------------------------------------------------------------

function membersOfGroups() {
  const members = [];
  report.group.forEach((group, index) => {
    if (group >= 0) (members[group] ??= []).push(index);
  });
  return members;
}

function groupMembers(members) {
  const list = make("ul", { className: "rows" });
  list.append(...members.slice(0, MOST_IN_GROUP).map((index) => rowButton(index)));
  if (members.length > MOST_IN_GROUP) {
    list.append(make("li", { className: "quiet" }, `and ${whole(members.length - MOST_IN_GROUP)} more`));
  }
  list.addEventListener("click", () => at("map-title").scrollIntoView());
  return list;
}

function showGroups() {
  const groups = membersOfGroups(), threshold = numbers.near_duplicates.threshold;
  at("groups-note").textContent = groups.length
    ? `${several(groups.length, "group")} with ${several(numbers.near_duplicates.rows, "row")}: `
      + `rows that pairs with a cosine of at least ${threshold} connect, the largest group first.`
    : `No two rows have a cosine of ${threshold} or more.`;
  for (const [number, members] of groups.slice(0, MOST_GROUPS).entries()) {
    const head = make("summary", {}, make("b", {}, several(members.length, "row")),
      make("span", {}, ` · ${titleOf(members[0]).slice(0, 140)}`));
    const group = make("details", {}, head);
    group.addEventListener("toggle", () => {
      if (group.open && group.children.length === 1) group.append(groupMembers(members));
    });
    group.open = number === 0;
    at("groups").append(group);
  }
  if (groups.length > MOST_GROUPS) {
    const rest = several(groups.length - MOST_GROUPS, "further group");
    at("groups").append(make("p", { className: "quiet" }, `${rest} not listed; --json has them all.`));
  }
}
