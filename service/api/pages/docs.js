"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // What stands between backticks is code.
  function prose(text) {
    return (text || "").split("`").map((part, at) => at % 2 ? make("code", {}, part) : part);
  }

  const document_ = await (await fetch("/openapi.json")).json();
  const resolve = (schema) => schema?.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema || {};

  function kind(schema) {
    if (schema.$ref) return kind(resolve(schema));
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
    if (schema.type === "array") return `list of ${kind(schema.items || {})}`;
    return schema.type || "any";
  }

  function limits(schema) {
    const names = { minimum: "≥", maximum: "≤", minLength: "characters ≥", maxLength: "characters ≤", maxItems: "items ≤" };
    const found = [schema, ...(schema.anyOf || [])];
    const given = found.flatMap((part) => Object.entries(names).filter(([key]) => key in part).map(([key, word]) => `${word} ${part[key]}`));
    const described = found.map((part) => part.description).filter(Boolean);
    const fallback = "default" in schema ? [`default ${JSON.stringify(schema.default)}`] : [];
    return [...described, ...given, ...fallback].join("; ");
  }

  function table(title, entries) {
    if (!entries.length) return "";
    const head = make("tr", {}, ...["Name", "Type", "Meaning"].map((name) => make("th", { scope: "col" }, name)));
    const rows = entries.map(([name, schema, required]) => make("tr", {},
      make("td", {}, make("code", {}, name), required ? make("span", { class: "quiet" }, " required") : ""), make("td", {}, make("code", {}, kind(schema))),
      make("td", {}, ...prose(limits(schema)))));
    return make("div", {}, make("h2", {}, title),
      make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  }

  function fields(schema) {
    const { properties = {}, required = [] } = resolve(schema);
    return Object.entries(properties).map(([name, property]) => [name, property, required.includes(name)]);
  }

  function call(path, verb, operation) {
    const content = Object.values(operation.requestBody?.content || {})[0];
    const good = Object.entries(operation.responses).find(([status]) => status[0] === "2");
    const given = Object.values(good?.[1].content || {})[0];
    const answers = Object.entries(operation.responses).map(([status, answer]) =>
      make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, answer.description)));
    return make("details", { class: "card call", id: operation.operationId },
      make("summary", {}, make("span", { class: `verb ${verb}` }, verb.toUpperCase()), make("code", {}, path), " ",
        make("span", { class: "quiet" }, operation.summary || "")),
      make("p", {}, ...prose(operation.description)),
      table("Path and query", (operation.parameters || []).map((one) => [one.name, one.schema, one.required])),
      content ? table("Body", fields(content.schema)) : "", given ? table(`Answer ${good[0]}`, fields(given.schema)) : "",
      make("h2", {}, "Statuses"), make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Status"),
        make("th", { scope: "col" }, "Meaning"))), make("tbody", {}, ...answers)));
  }

  const calls = Object.entries(document_.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]) => call(path, verb, operation)));
  $("calls").replaceChildren(...calls);
  function find() {
    const wanted = $("find").value.toLowerCase();
    for (const one of calls) one.hidden = !one.querySelector("summary").textContent.toLowerCase().includes(wanted);
    $("found").textContent = `${calls.filter((one) => !one.hidden).length} calls`;
  }

  $("find").addEventListener("input", find);
  find();
  const named = location.hash && $(location.hash.slice(1));
  if (named) named.open = true;
})().catch((error) => { document.getElementById("found").textContent = `The description cannot be shown: ${error.message}`; });
