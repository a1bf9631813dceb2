"use strict";
// What is in the files is put into the page as text nodes alone: no function here takes HTML.
const report = JSON.parse(document.getElementById("data").textContent);
const numbers = report.numbers;
const size = report.row.length;
const names = Object.keys(report.columns);
const textColumn = numbers.text_column;
const NAMES = { tsne: "t-SNE", pca: "PCA" };

const at = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function whole(value) {
  return value.toLocaleString("en-US");
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function several(count, one, many = one + "s") {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

function valueText(value) {
  if (value === null) return "null";
  if (typeof value !== "number") return value;
  return Number.isInteger(value) ? String(value) : short(value);
}

function placeOf(index) {
  const file = report.files.length ? `${report.files[report.file[index]]}: ` : "";
  return `${file}${report.unit} ${whole(report.row[index])}`;
}

// What a row is called: its text, or else the first column that has one, or its number.
function titleOf(index) {
  for (const name of textColumn === null ? names : [textColumn, ...names]) {
    const value = report.columns[name][index];
    if (typeof value === "string" && value.trim()) return value;
  }
  return placeOf(index);
}

function factsOf(index) {
  const facts = [[report.unit, whole(report.row[index])], ["length", short(report.length[index])]];
  if (report.files.length) facts.unshift(["file", report.files[report.file[index]]]);
  if (report.group[index] >= 0) facts.push(["near-duplicates", `group ${report.group[index] + 1}`]);
  for (const name of names) {
    if (name !== textColumn) facts.push([name, valueText(report.columns[name][index])]);
  }
  return facts;
}

function factList(index, most) {
  const list = make("dl", { className: "facts" });
  for (const [name, value] of factsOf(index).slice(0, most)) {
    const short = value.length > 120 ? value.slice(0, 119) + "…" : value;
    list.append(make("dt", {}, name), make("dd", {}, short));
  }
  return list;
}
