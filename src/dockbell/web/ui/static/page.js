// What pages gain when JavaScript runs; everything works without it.

// Sweden writes 2026-11-24 09:05:10, which nobody takes for another day.
const zoned = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });

/** Show times in the viewer's zone; the exact one stays in the title. */
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.textContent = zoned.format(at);
    time.dataset.local = "";
  }
}

function countDown() {
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const seconds = Math.round((new Date(time.dateTime) - Date.now()) / 1000);
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
    time.textContent = seconds <= 0 ? time.dataset.now : [h ? `${h} h` : "", h || m ? `${m} min` : "", `${s} s`].join(" ").trim();
  }
}

function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = button.closest(".copyable").querySelector("pre, code, input");
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    });
  }
}

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  const all = event.target.closest?.("[data-tick-all]");
  if (!all) return;
  for (const box of all.closest("form").querySelectorAll(`input[name="${all.dataset.tickAll}"]`)) box.checked = all.checked;
});

localTimes(document);
copyButtons(document);
document.querySelector("[data-focus]")?.focus();
if (document.querySelector("time[data-countdown]")) {
  countDown();
  setInterval(countDown, 1000);
}
