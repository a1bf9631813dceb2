// The plots. Plotly is given numbers and colours, and no text of a file: it reads some HTML in it.
const PALETTE = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#06b6d4", "#84cc16", "#ec4899", "#b08968"];
const OTHER = "#94a3b8";
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [240, 220, 60]];
const CONFIG = {
  displaylogo: false, responsive: true, doubleClick: "reset",
  // By name: of those that plotly offers by itself, some open pages of others.
  modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"], ["toImage"]],
};
const state = { projection: Object.keys(report.points)[0], colour: "", chosen: -1, matches: null };

function tone(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function layout(changes) {
  const axis = { gridcolor: tone("grid"), linecolor: tone("line"), zeroline: false, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { color: tone("quiet"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    margin: { l: 48, r: 12, t: 12, b: 42 }, bargap: 0.04,
    hoverlabel: { bgcolor: tone("card"), bordercolor: tone("line"), font: { color: tone("ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: tone("quiet"), activecolor: tone("accent") },
    ...changes,
    xaxis: { ...axis, ...changes.xaxis }, yaxis: { ...axis, ...changes.yaxis },
  };
}

function hasWebgl() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
}

const POINTS = report.webgl && hasWebgl() ? "scattergl" : "scatter";

// --- Colours -------------------------------------------------------------------------------------

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

// The columns by which points can be coloured: numbers, or few enough different values.
function colourable(name) {
  const values = report.columns[name];
  const different = counted(values).length;
  if (different < 2 || name === textColumn) return false;
  return values.every((value) => value === null || typeof value === "number")
    || different <= Math.max(2, size / 2);
}

function ramp(share) {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * (place - low)));
  return `rgb(${mixed.join(",")})`;
}

// Return the colour of each point, and what the legend says.
function colours() {
  const choice = state.colour;
  if (choice === "") return [tone("point"), []];
  if (choice === "group") {
    const chosen = report.group.map((group) => (group >= 0 ? tone("mark") : OTHER));
    return [chosen, [[tone("mark"), "in a group of near-duplicates"], [OTHER, "in none"]]];
  }
  const values = choice === "length" ? report.length : report.columns[choice.slice("column:".length)];
  const found = counted(values);
  if (found.length > PALETTE.length && values.every((value) => value === null || typeof value === "number")) {
    const there = values.filter((value) => value !== null);
    const low = there.reduce((a, b) => Math.min(a, b)), high = there.reduce((a, b) => Math.max(a, b));
    const scaled = values.map((value) => (value === null ? OTHER : ramp((value - low) / (high - low || 1))));
    return [scaled, [["ramp", short(low), short(high)]]];
  }
  const shown = found.slice(0, PALETTE.length);
  const by = new Map(shown.map(([value], index) => [value, PALETTE[index]]));
  const legend = shown.map(([value, count]) => [by.get(value), `${valueText(value)} (${whole(count)})`]);
  if (found.length > shown.length) {
    legend.push([OTHER, `${several(found.length - shown.length, "other value")}`]);
  }
  return [values.map((value) => by.get(value) ?? OTHER), legend];
}

function drawLegend(entries) {
  at("legend").replaceChildren(...entries.map(([colour, text, end]) => {
    const spot = make("i", { className: colour === "ramp" ? "ramp" : "" });
    if (colour !== "ramp") {
      spot.style.background = colour;
      return make("span", {}, spot, text);
    }
    spot.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp).join(",")})`;
    return make("span", {}, text, spot, end);
  }));
}

// --- The map -------------------------------------------------------------------------------------

function picked(indices) {
  const points = report.points[state.projection];
  return { x: indices.map((i) => points.x[i]), y: indices.map((i) => points.y[i]) };
}

function ring(indices, colour, width, diameter) {
  return {
    ...picked(indices), type: "scatter", mode: "markers", hoverinfo: "skip",
    marker: { symbol: "circle-open", size: diameter, color: colour, line: { width } },
  };
}

function drawMap() {
  const points = report.points[state.projection];
  const [colour, legend] = colours();
  const found = state.matches, diameter = size > 2000 ? 5 : size > 400 ? 7 : 9;
  const marker = { size: diameter, line: { width: 0 } };
  const base = {
    x: points.x, y: points.y, type: POINTS, mode: "markers", hoverinfo: "none",
    marker: { ...marker, color: colour, opacity: found === null ? 0.7 : 0.12 },
  };
  const matching = {
    ...picked(found ?? []), type: POINTS, mode: "markers", hoverinfo: "skip",
    marker: { ...marker, size: diameter + 2, color: Array.isArray(colour) ? (found ?? []).map((i) => colour[i]) : colour },
  };
  const chosen = state.chosen < 0 ? [] : [state.chosen];
  const around = chosen.flatMap((i) => report.neighbours[i]);
  const axis = { showgrid: false, showticklabels: false, ticks: "", showline: false };
  const traces = [base, matching, ring(around, tone("ink"), 1.5, diameter + 6), ring(chosen, tone("mark"), 3, diameter + 11)];
  const how = layout({
    margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: "closest", hoverdistance: 14, uirevision: state.projection,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "pan",
    xaxis: axis, yaxis: { ...axis, scaleanchor: "x" },
  });
  drawLegend(legend);
  return Plotly.react("map", traces, how, { ...CONFIG, scrollZoom: false });
}

// --- Histograms and dimensions -------------------------------------------------------------------

function drawHistogram(id, histogram, xTitle, yTitle, lines = []) {
  const { edges, counts } = histogram;
  const middle = counts.map((_, i) => (edges[i] + edges[i + 1]) / 2);
  const bars = {
    type: "bar", x: middle, y: counts, width: counts.map((_, i) => (edges[i + 1] - edges[i]) * 0.94),
    marker: { color: tone("point"), line: { width: 0 } },
    customdata: counts.map((_, i) => [short(edges[i]), short(edges[i + 1])]),
    hovertemplate: "%{customdata[0]} to %{customdata[1]}<br>%{y:,}<extra></extra>",
  };
  const shapes = lines.map((x) => ({
    type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: tone("mark"), dash: "dash", width: 1.5 },
  }));
  const range = edges.length && lines.length ? [Math.min(edges[0], ...lines), Math.max(edges[edges.length - 1], ...lines) + 0.01] : undefined;
  const how = layout({ shapes, xaxis: { title: { text: xTitle }, range }, yaxis: { title: { text: yTitle } } });
  return Plotly.react(id, [bars], how, { ...CONFIG, displayModeBar: false });
}

function drawDimensions() {
  const { means, deviations, faults } = report.dimensions;
  const index = deviations.map((_, i) => i);
  const wrong = index.filter((i) => faults[i]);
  const template = "dimension %{x}<br>standard deviation %{y:.4g}<br>mean %{customdata:.4g}<extra></extra>";
  const bars = {
    type: "bar", x: index, y: deviations, customdata: means, hovertemplate: template,
    marker: { color: tone("point"), line: { width: 0 } },
  };
  const marks = {
    type: "scatter", mode: "markers", x: wrong, y: wrong.map(() => 0), text: wrong.map((i) => faults[i]),
    marker: { symbol: "x", size: 9, color: tone("bad") }, hovertemplate: "dimension %{x}: %{text}<extra></extra>",
  };
  const how = layout({ bargap: 0.15, xaxis: { title: { text: "dimension" } }, yaxis: { title: { text: "standard deviation" } } });
  return Plotly.react("dimensions", [bars, marks], how, { ...CONFIG, displayModeBar: false });
}

function drawAll() {
  return Promise.all([
    drawMap(),
    drawHistogram("similarity", numbers.similarity.histogram, "cosine", "pairs", [numbers.near_duplicates.threshold]),
    drawHistogram("lengths", numbers.lengths.histogram, "length", "rows"),
    drawDimensions(),
  ]);
}
