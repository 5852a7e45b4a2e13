"use strict";
// Refreshes the page.  Without it the page is whole; with a token it is the way in, since browsers
// send no such header: it is kept in memory, and links are followed here.
(() => {
  const EVERY = 10_000;
  let token = null;
  let isOn = true;

  const button = document.querySelector("[data-refresh]");
  const told = document.querySelector("[data-told]");
  const form = document.querySelector("[data-token]");

  async function read(url) {
    const headers = { Accept: "text/html" };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(url, { headers, cache: "no-store", credentials: "same-origin" });
    return { isOk: answer.ok, page: new DOMParser().parseFromString(await answer.text(), "text/html") };
  }

  // What the reader has opened, marked or has the focus on stays as it is.
  function isBusy() {
    const main = document.getElementById("main");
    const isMarked = !getSelection().isCollapsed;
    return document.hidden || isMarked || (main !== document.activeElement && main.contains(document.activeElement));
  }

  function show(page) {
    const now = document.getElementById("main");
    const next = page.getElementById("main");
    const opened = [...now.querySelectorAll("details")].map((one) => one.open);
    next.querySelectorAll("details").forEach((one, i) => { one.open = opened[i] ?? one.open; });
    if (document.title !== page.title) {
      document.title = page.title;
      told.textContent = page.querySelector("h1").textContent;
      document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").href;
    }
    if (now.innerHTML !== next.innerHTML) now.replaceWith(next);
  }

  async function refresh() {
    if (!isOn || isBusy() || (form && token === null)) return;
    try {
      const { isOk, page } = await read(location.href);
      if (isOk) show(page);
      button.textContent = isOk ? "Refreshes itself" : "Cannot be refreshed";
    } catch {
      button.textContent = "The server does not answer";
    }
  }

  async function open(url) {
    const { page } = await read(url);
    document.title = page.title;
    document.querySelector("header.bar nav").replaceWith(page.querySelector("header.bar nav"));
    document.getElementById("main").replaceWith(page.getElementById("main"));
    document.getElementById("main").focus();
  }

  button.hidden = Boolean(form);
  button.addEventListener("click", () => {
    isOn = !isOn;
    button.setAttribute("aria-pressed", String(isOn));
    button.textContent = isOn ? "Refreshes itself" : "Stands still";
    refresh();
  });
  setInterval(refresh, EVERY);

  if (!form) return;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    token = form.querySelector("input").value;
    const { isOk, page } = await read(location.href);
    if (!isOk) {
      token = null;
      told.textContent = "This is not the token.";
      return;
    }
    told.textContent = "";
    button.hidden = false;
    show(page);
    document.getElementById("main").focus();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (token === null || !link || !isPlain || link.origin !== location.origin || link.hash === "#main") return;
    event.preventDefault();
    const url = link.href; // now: it is relative, and the address is about to change
    history.pushState(null, "", url);
    open(url);
  });
  addEventListener("popstate", () => { if (token !== null) open(location.href); });
})();
