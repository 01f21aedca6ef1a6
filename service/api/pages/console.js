"use strict";
// Everything goes through the public API with the pasted token, which stays in this closure.
(() => {
  const LOOK_MS = 2000;   // between two looks at the list and the counts; reading is no use
  const FRAME_MS = 250;   // between two steps of the bars
  const KEPT = 200;       // events shown
  const $ = (id) => document.getElementById(id);
  const STATES = ["active", "expired", "revoked", "consumed"];
  let caller = "", cursor = null, page = {}, shown = new Map(), timer = 0, stop = new AbortController();

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function tell(text, bad = false) {
    $("told").textContent = text;
    $("told").classList.toggle("bad", bad);
  }

  function query(fields) {
    const given = Object.entries({ tenant: $("tenant").value, ...fields }).filter(([, value]) => value);
    return new URLSearchParams(given).toString();
  }

  async function call(path, options = {}) {
    const headers = { Authorization: "Bearer " + caller, ...(options.body ? { "Content-Type": "application/json" } : {}) };
    const response = await fetch(path, { ...options, headers: { ...headers, ...options.headers }, signal: stop.signal });
    if (!response.ok) {
      const problem = await response.json().catch(() => ({}));
      throw new Error(problem.detail || `The service answered ${response.status}.`);
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
    const meter = make("meter", { min: 0, max: 1, value: 1, "aria-label": `Remaining life of ${token.owner}` });
    const text = make("span"), life = make("div", { class: "life" }, meter, text);
    const cells = [
      ["Owner", make("div", {}, token.owner, make("code", { class: "handle" }, token.id))], ["Type", token.type], ["State", make("span", { class: `state ${token.state}` }, token.state)],
      ["Life", token.state === "active" ? life : ended(token)], ["Uses", String(token.uses)],
    ].map(([name, content]) => make("td", { "data-name": name }, content));
    const revoke = make("button", { class: "danger", type: "button" }, "Revoke", make("span", { class: "unseen" }, ` ${token.id}`));
    revoke.disabled = token.state !== "active";
    revoke.addEventListener("click", () => revokeOne(token));
    const line = make("tr", { "data-id": token.id }, ...cells, make("td", {}, revoke));
    return { line, meter, text, token, seen: performance.now() };
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
    const focused = document.activeElement?.closest("tr")?.dataset.id;
    const before = shown;
    shown = new Map(items.map((token) => [token.id, row(token)]));
    $("list").replaceChildren(...[...shown.values()].map(({ line }) => line));
    for (const [id, { line, token }] of shown) {
      const known = before.get(id);
      if (known && known.token.uses !== token.uses) line.classList.add("fresh");
    }
    if (!items.length) $("list").append(make("tr", {}, make("td", { colspan: 6, class: "quiet" }, "No token fits.")));
    if (focused) shown.get(focused)?.line.querySelector("button").focus();
    step();
  }

  async function look() {
    clearTimeout(timer);
    try {
      const filter = { owner: $("owner").value, type: $("type").value, state: $("state").value };
      const [found, counted] = await Promise.all([
        json("/v1/tokens?" + query({ ...filter, limit: 25, cursor })), json("/v1/tokens/count?" + query({})),
      ]);
      page = found;
      show(found.items);
      $("previous").disabled = !found.previous;
      $("next").disabled = !found.next;
      $("revoke-owner").disabled = !$("owner").value;
      $("counts").replaceChildren(...STATES.map((state) =>
        make("div", {}, make("dt", { class: state }, state), make("dd", {}, (counted.by_state[state] || 0).toLocaleString()))));
      tell(`Connected. Last look ${new Date().toLocaleTimeString()}.`);
    } catch (error) {
      if (error.name === "AbortError") return;
      tell(error.message, true);
    }
    timer = setTimeout(look, LOOK_MS);
  }

  async function sure(title, text) {
    $("sure-title").textContent = title;
    $("sure-text").textContent = text;
    $("sure").showModal();
    await new Promise((done) => $("sure").addEventListener("close", done, { once: true }));
    return $("sure").returnValue === "yes";
  }

  async function revokeOne(token) {
    if (!await sure("Revoke this token?", `${token.type} of ${token.owner}, ${token.id}. It cannot be brought back.`)) return;
    await attempt(async () => { await call(`/v1/tokens/${token.id}`, { method: "DELETE" }); });
  }

  async function revokeOwner() {
    const owner = $("owner").value, path = `/v1/owners/${encodeURIComponent(owner)}/revoke`;
    const tenant = $("tenant").value ? { tenant: $("tenant").value } : {};
    const post = (body) => json(path, { method: "POST", body: JSON.stringify({ ...tenant, ...body }) });
    await attempt(async () => {
      const { revoked, more } = await post({ dry_run: true });
      const number = more ? `more than ${revoked}` : revoked;
      if (!await sure(`Revoke all of ${owner}?`, `This ends ${number} live tokens. They cannot be brought back.`)) return;
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
        $("feed-state").textContent = "live";
        for await (const { id, data } of messages(response.body)) { if (id) last = id; if (data) event(JSON.parse(data)); }
        $("feed-state").textContent = "ended; connecting again";
      } catch (error) {
        if (error.name === "AbortError") return;
        $("feed-state").textContent = `not connected: ${error.message}`;
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
    [caller, cursor] = [$("caller").value.trim(), null];
    $("inside").hidden = false;
    $("feed").replaceChildren();
    look();
    follow(stop.signal);
  });
  $("filter").addEventListener("submit", (submitted) => { submitted.preventDefault(); cursor = null; look(); });
  $("owner").addEventListener("input", () => { $("revoke-owner").disabled = true; });
  $("revoke-owner").addEventListener("click", revokeOwner);
  $("next").addEventListener("click", () => { cursor = page.next; look(); });
  $("previous").addEventListener("click", () => { cursor = page.previous; look(); });
  setInterval(step, FRAME_MS);
})();
