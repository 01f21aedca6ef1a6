"use strict";
// Everything goes through the public API with the pasted token, which stays in this closure.
(() => {
  const LOOK_MS = 2000;   // between two looks at the list and the counts; reading is no use
  const FRAME_MS = 250;   // between two steps of the bars
  const KEPT = 200;       // events shown
  const $ = (id) => document.getElementById(id);
  const STATES = ["active", "expired", "revoked", "consumed"];
  const FINAL = [401, 403];  // answers that asking again does not better
  let caller = "", tenant = "", filter = {}, cursor = null, page = {}, shown = new Map();
  let timer = 0, turn = 0, stop = new AbortController();

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // Said once, and not again as long as it stays true: whoever listens hears each change of these regions.
  function say(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }

  function tell(text, bad = false) {
    say("told", text);
    $("told").classList.toggle("bad", bad);
  }

  function query(fields) {
    return new URLSearchParams(Object.entries({ tenant, ...fields }).filter(([, value]) => value)).toString();
  }

  async function call(path, options = {}) {
    const headers = { Authorization: "Bearer " + caller, ...(options.body ? { "Content-Type": "application/json" } : {}) };
    const response = await fetch(path, { ...options, headers: { ...headers, ...options.headers }, signal: stop.signal });
    if (!response.ok) {
      const problem = await response.json().catch(() => ({}));
      throw Object.assign(new Error(problem.detail || `The service answered ${response.status}.`), { status: response.status });
    }
    return response;
  }

  const json = async (path, options) => (await call(path, options)).json();

  function lifeText(ms) {
    if (ms === null) return "for ever";
    const s = Math.floor(ms / 1000), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${m} min`;
    return m ? `${m} min ${s % 60} s` : `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  }

  function row(token) {
    const meter = make("meter", { min: 0, max: 1, low: .25, high: .5, optimum: 1, "aria-label": `Remaining life of ${token.owner}` });
    const text = make("span"), life = make("div", { class: "life" }, meter, text);
    const revoke = make("button", { class: "danger", type: "button" }, "Revoke", make("span", { class: "unseen" }, ` ${token.owner} ${token.id}`));
    const cells = ["Owner", "Type", "State", "Life", "Uses"].map((name) => make("td", { role: "cell", "data-name": name }));
    cells[0].append(make("div", {}, token.owner, make("code", { class: "handle" }, token.id)));
    const line = make("tr", { role: "row", "data-id": token.id }, ...cells, make("td", { role: "cell" }, revoke));
    const one = { line, cells, life, meter, text, revoke };
    revoke.addEventListener("click", () => revokeOne(one.token));
    return one;
  }

  // A row stays the same nodes for as long as it is shown, under whoever is reading or about to press it.
  function fill(one, token) {
    const [, type, state, life, uses] = one.cells, known = one.token;
    Object.assign(one, { token, seen: performance.now() });
    type.textContent = token.type;
    if (known?.state !== token.state) {
      state.replaceChildren(make("span", { class: `state ${token.state}` }, token.state));
      life.replaceChildren(token.state === "active" ? one.life : ended(token));
    }
    if (known && known.uses !== token.uses) flash(one.line);
    uses.textContent = token.uses;
    one.revoke.disabled = token.state !== "active";
  }

  function flash(line) {
    line.classList.remove("fresh");
    void line.offsetWidth; // so that the animation begins anew
    line.classList.add("fresh");
  }

  function ended(token) {
    return make("span", { class: "quiet" }, `${token.ended_by} ${new Date(token.ended_at_ms).toLocaleTimeString()}`);
  }

  function step() {
    for (const { meter, text, token, seen } of shown.values()) {
      if (token.state !== "active") continue;
      const left = token.remaining_ms === null ? null : Math.max(0, token.remaining_ms - (performance.now() - seen));
      meter.value = left === null ? 1 : left / token.life_ms;
      text.textContent = lifeText(left);
    }
  }

  function show(items) {
    const before = [...shown.values()], held = before.findIndex(({ line }) => line.contains(document.activeElement));
    shown = new Map(items.map((token) => [token.id, shown.get(token.id) || row(token)]));
    items.forEach((token) => fill(shown.get(token.id), token));
    const lines = [...shown.values()].map(({ line }) => line);
    const none = make("tr", { role: "row" }, make("td", { role: "cell", colspan: 6, class: "quiet" }, "No token fits."));
    if (!lines.length || lines.some((line, at) => $("list").children[at] !== line) || $("list").children.length > lines.length)
      $("list").replaceChildren(...(lines.length ? lines : [none]));
    if (held >= 0) keepFocus(before[held], held);
    step();
  }

  // Who was on a row stays there, or comes to the one in its place: never back to the top of the page.
  function keepFocus(one, at) {
    if (one.line.isConnected && !one.revoke.disabled) return one.revoke.focus();
    const rest = [...shown.values()].filter(({ revoke }) => !revoke.disabled);
    (rest[Math.min(at, rest.length - 1)]?.revoke || $("list-title")).focus();
  }

  async function look() {
    clearTimeout(timer);
    const mine = ++turn;
    try {
      const [found, counted] = await Promise.all([
        json("/v1/tokens?" + query({ ...filter, limit: 25, cursor })), json("/v1/tokens/count?" + query({})),
      ]);
      if (mine !== turn) return;
      page = found;
      $("inside").hidden = false;
      show(found.items);
      $("previous").disabled = !found.previous;
      $("next").disabled = !found.next;
      $("revoke-owner").disabled = !filter.owner;
      for (const state of STATES) $("count-" + state).textContent = (counted.by_state[state] || 0).toLocaleString();
      $("looked").textContent = `Last look ${new Date().toLocaleTimeString()}.`;
      tell("Connected.");
    } catch (error) {
      if (error.name === "AbortError" || mine !== turn) return;
      tell(error.message, true);
      if (FINAL.includes(error.status)) return leave();
    }
    timer = setTimeout(look, LOOK_MS);
  }

  function leave() {
    stop.abort();
    clearTimeout(timer);
    caller = "";
    shown = new Map();
    $("list").replaceChildren();
    $("feed").replaceChildren();
    $("inside").hidden = true;
    $("looked").textContent = "";
    $("caller").focus();
  }

  async function sure(title, text) {
    $("sure-title").textContent = title;
    $("sure-text").textContent = text;
    $("sure").returnValue = ""; // Escape leaves it as it is, and it may still be the "yes" of the last time
    $("sure").showModal();
    await new Promise((done) => $("sure").addEventListener("close", done, { once: true }));
    return $("sure").returnValue === "yes";
  }

  async function revokeOne(token) {
    if (!await sure("Revoke this token?", `${token.type} of ${token.owner}, ${token.id}. It cannot be brought back.`)) return;
    await attempt(async () => { await call(`/v1/tokens/${token.id}`, { method: "DELETE" }); });
  }

  async function revokeOwner() {
    const owner = filter.owner, path = `/v1/owners/${encodeURIComponent(owner)}/revoke`;
    const post = (body) => json(path, { method: "POST", body: JSON.stringify({ ...(tenant ? { tenant } : {}), ...body }) });
    await attempt(async () => {
      const { revoked, more } = await post({ dry_run: true });
      const number = more ? `more than ${revoked}` : revoked;
      if (!await sure(`Revoke all of ${owner}?`, `This ends ${number} live tokens of every type. They cannot be brought back.`)) return;
      let answer = { more: true };
      while (answer.more) answer = await post({});
    });
  }

  async function attempt(action) {
    try { await action(); await look(); } catch (error) { if (error.name !== "AbortError") tell(error.message, true); }
  }

  function event(data) {
    const time = new Date(data.time).toLocaleTimeString(), kind = data.type.split(".").pop();
    const line = make("li", { class: "fresh" }, make("time", { datetime: data.time, class: "quiet" }, time), " ",
      make("strong", { class: kind }, kind), ` ${data.data.owner} `, make("code", { class: "quiet" }, data.subject));
    $("feed").prepend(line);
    while ($("feed").children.length > KEPT) $("feed").lastChild.remove();
  }

  async function follow(signal) {
    let last = "now";
    while (!signal.aborted) {
      try {
        const headers = { Accept: "text/event-stream" };
        const response = await call("/v1/events?" + query({ after: last }), { headers });
        say("feed-state", "live");
        for await (const { id, data } of messages(response.body)) { if (id) last = id; if (data) event(JSON.parse(data)); }
        say("feed-state", "ended; connecting again");
      } catch (error) {
        if (error.name === "AbortError") return;
        say("feed-state", `not connected: ${error.message}`);
        if (error.status === 410) last = "now";  // what came in between is no longer kept
        if (FINAL.includes(error.status)) return;
      }
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  async function* messages(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const fields = Object.fromEntries(part.split("\n").filter((line) => line && line[0] !== ":")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
        if (fields.event !== "end") yield fields;
      }
    }
  }

  $("door").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    stop.abort();
    stop = new AbortController();
    [caller, tenant, cursor] = [$("caller").value.trim(), $("tenant").value.trim(), null];
    $("feed").replaceChildren();
    tell("Connecting…");
    choose();
    follow(stop.signal);
  });

  function choose() {
    filter = { owner: $("owner").value, type: $("type").value, state: $("state").value };
    cursor = null;
    look();
  }

  $("filter").addEventListener("submit", (submitted) => { submitted.preventDefault(); choose(); });
  $("aloud").addEventListener("change", () => $("feed-box").setAttribute("aria-live", $("aloud").checked ? "polite" : "off"));
  $("owner").addEventListener("input", () => { $("revoke-owner").disabled = $("owner").value !== filter.owner || !filter.owner; });
  $("revoke-owner").addEventListener("click", revokeOwner);
  $("next").addEventListener("click", () => { cursor = page.next; look(); });
  $("previous").addEventListener("click", () => { cursor = page.previous; look(); });
  setInterval(step, FRAME_MS);
})();
