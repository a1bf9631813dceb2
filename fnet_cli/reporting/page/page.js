// What is said in words, and what listens.
const KINDS = {
  non_finite: ["has a NaN or infinite number", "have a NaN or infinite number"],
  null: ["is null or has a null in it", "are null or have a null in them"],
  other_dimension: ["is of another dimension", "are of another dimension"],
  zero: ["is all zeros and has no direction", "are all zeros and have no direction"],
};

function sayHead() {
  const { rows, sample, file, files } = numbers;
  at("title").textContent = file;
  const of = files > 1 ? ` in ${whole(files)} files` : "";
  at("lead").textContent = sample.all
    ? `All ${several(rows, "row")}${of}.`
    : `A random sample: ${whole(sample.rows)} of ${several(rows, "row")}${of}, drawn with seed ${sample.seed}. `
      + "All that is said here is of the sample; fnet verify-output reads every row.";
}

function sayTiles() {
  const { sample, dimension, number_type, similarity, lengths, near_duplicates, dimensions } = numbers;
  const wrong = Object.values(dimensions).reduce((sum, found) => sum + found.length, 0);
  const tiles = [
    [whole(sample.rows), sample.all ? "rows" : `of ${several(numbers.rows, "row")}`],
    [dimension === null ? "–" : whole(dimension), `dimensions, ${number_type}`],
    [short(similarity.mean), "mean cosine of two rows"],
    [short(lengths.mean), "mean length"],
    [whole(near_duplicates.groups.length), "groups of near-duplicates"],
    [whole(wrong), "dimensions with a fault"],
  ];
  at("tiles").append(...tiles.map(([value, name]) => make("li", {}, make("b", {}, value), make("span", {}, name))));
}

function sayNotices() {
  const notices = numbers.notes.map((note) => ["notice", note]);
  for (const { kind, count, rows } of report.unusable) {
    const first = rows.slice(0, 8).map(({ file, row }) =>
      (report.files.length ? `${file}: ` : "") + `${report.unit} ${whole(row)}`).join(", ");
    const more = count > 8 ? ", …" : "";
    const what = `${several(count, "vector")} ${KINDS[kind][count === 1 ? 0 : 1]}, and ${count === 1 ? "is" : "are"} on no map`;
    notices.push([kind === "zero" ? "notice" : "notice bad", `${what}: ${first}${more}`]);
  }
  at("notices").append(...notices.map(([className, text]) => make("li", { className }, text)));
}

function sayNotes() {
  const { similarity, lengths, near_duplicates, dimensions, effective_dimension } = numbers;
  const ends = ({ smallest, median, mean, largest }) =>
    `least ${short(smallest)}, median ${short(median)}, mean ${short(mean)}, most ${short(largest)}`;
  const pairs = similarity.pairs ? `${several(similarity.pairs, "pair")}: ${ends(similarity)}.` : "There is no pair of rows.";
  at("similarity-note").textContent = similarity.pairs
    ? `${pairs} The dashed line is where near-duplicates begin, ${near_duplicates.threshold}.` : pairs;
  at("lengths-note").textContent = size ? `Euclidean: ${ends(lengths)}.` : "There is no vector with a direction.";
  at("similarity").ariaLabel = `Histogram of the cosines of pairs. ${pairs}`;
  at("lengths").ariaLabel = `Histogram of the lengths. ${at("lengths-note").textContent}`;
  const effective = effective_dimension === null ? "" : ` The directions spread as ${short(effective_dimension)} equal dimensions would.`;
  at("dimensions-note").textContent = `Standard deviation of each dimension over the rows.${effective}`;
  at("dimensions").ariaLabel = at("dimensions-note").textContent;
  const told = { dead: "zero in every row", constant: "the same in every row", non_finite: "NaN or infinite in some row" };
  const faults = Object.entries(dimensions).filter(([, found]) => found.length);
  at("faults").append(...faults.map(([kind, found]) => make("li", {},
    make("b", {}, kind.replace("_", "-")), ` (${told[kind]}): ${found.slice(0, 60).join(", ")}${found.length > 60 ? `, … ${whole(found.length)} in all` : ""}`)));
  if (!faults.length && size > 1) at("faults").append(make("li", {}, "None is dead or constant, and none has a NaN."));
}

function sayMapNote() {
  const shares = numbers.explained_variance.map((share) => `${(share * 100).toFixed(1)} %`);
  const how = state.projection === "pca"
    ? `The two directions of most variance, with ${shares[0]} and ${shares[1]} of it.`
    : "t-SNE keeps near rows near; distances between clusters and their sizes mean little.";
  const cut = report.characters < 400 ? ` Texts are cut to ${report.characters} characters.` : "";
  const out = report.leftOut.length ? ` Columns not shown: ${report.leftOut.join(", ")}.` : "";
  at("map-note").textContent = `Vectors of length 1. ${how}${cut}${out}`;
  at("map").ariaLabel = `Map of ${several(size, "row")} by ${NAMES[state.projection]}. The search and its list reach the same rows by keyboard.`;
}

function sayMetadata() {
  const rows = [["column", numbers.column], ...Object.entries(numbers.metadata)];
  const table = rows.map(([name, value]) => {
    const text = value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, text));
  });
  at("metadata").append(make("tbody", {}, ...table));
  if (rows.length === 1) at("metadata").after(make("p", { className: "quiet" }, "The file does not say how its embeddings were made."));
  at("footer").textContent = `Made by fnet ${numbers.version}. Charts by plotly.js, which is in this file. Nothing here is loaded from or sent to a network.`;
}

// --- Controls ------------------------------------------------------------------------------------

function offerProjections() {
  for (const name of Object.keys(report.points)) {
    const radio = make("input", { type: "radio", name: "projection", value: name, checked: name === state.projection });
    radio.addEventListener("change", () => {
      state.projection = name;
      sayMapNote();
      drawMap();
    });
    at("projections").append(make("label", {}, radio, NAMES[name]));
  }
}

function offerColours() {
  const offered = [["", "all alike"], ["group", "near-duplicates"], ["length", "length"]];
  offered.push(...names.filter(colourable).map((name) => [`column:${name}`, name]));
  at("colour").append(...offered.map(([value, text]) => make("option", { value }, text)));
  at("colour").addEventListener("change", () => {
    state.colour = at("colour").value;
    drawMap();
  });
}

function showTip(index, event) {
  const tip = at("tip");
  tip.replaceChildren(make("p", { className: "said" }, titleOf(index)), factList(index, 9));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
}

function listenToMap() {
  const map = at("map");
  map.on("plotly_hover", ({ points, event }) => showTip(points[0].pointNumber, event));
  map.on("plotly_unhover", () => { at("tip").hidden = true; });
  map.on("plotly_click", ({ points }) => choose(points[0].pointNumber));
  addEventListener("scroll", () => { at("tip").hidden = true; }, { passive: true });
}

sayHead();
sayTiles();
sayNotices();
sayNotes();
sayMapNote();
sayMetadata();
offerProjections();
offerColours();
showGroups();
showChosen();
listenToSearch();
drawAll().then(() => {
  listenToMap();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.body.dataset.ready = "true";
});
