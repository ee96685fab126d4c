// The log while it grows: "Follow" asks for the newest rows every 2 s, as long as the tab is looked at. It keeps a few
// hundred rows, and says when some are missing.
import { localTimes } from "./page.js";

const button = document.querySelector("[data-follow]");
const rows = document.querySelector("#log-rows");

async function look() {
  if (document.hidden) return;
  const answer = await fetch(button.dataset.follow);
  if (!answer.ok) return;
  const made = document.createElement("template");
  made.innerHTML = await answer.text(); // our own page, escaped by the server
  const newest = [...made.content.querySelectorAll("tr[data-id]")];
  if (!rows) {
    // The page was empty and has no table yet: load it again, and go on.
    if (newest.length > 0) {
      location.hash = "follow";
      location.reload();
    }
    return;
  }
  const shown = new Set([...rows.children].map((row) => row.dataset.id));
  let leftOut = shown.size > 0 && newest.length > 0 && !newest.some((row) => shown.has(row.dataset.id));
  for (const row of newest.reverse()) {
    const known = rows.querySelector(`tr[data-id="${row.dataset.id}"]`);
    const box = known?.querySelector("input");
    const newBox = row.querySelector("input");
    if (newBox && box) newBox.checked = box.checked;
    localTimes(row);
    if (known) known.replaceWith(row);
    else rows.prepend(row);
  }
  while (rows.children.length > Number(rows.dataset.most)) {
    rows.lastElementChild.remove();
    leftOut = true;
  }
  if (leftOut) document.querySelector("[data-left-out]").hidden = false;
}

if (button) {
  let timer = 0;
  const whileOff = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? button.dataset.whileOn : whileOff;
    clearInterval(timer);
    if (on) {
      look();
      timer = setInterval(look, 2000);
    }
  });
  if (location.hash === "#follow") button.click();
}
