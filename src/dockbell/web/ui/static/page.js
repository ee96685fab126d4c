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

/** Times are entered in the viewer's zone too, and sent in UTC. */
function localInputs() {
  for (const input of document.querySelectorAll('form[data-zoned] input[type="datetime-local"]')) {
    const label = input.form.querySelector(`label[for="${input.id}"]`);
    label.textContent = label.textContent.replace(" (UTC)", "");
    const given = new Date(`${input.getAttribute("value")}Z`);
    if (!Number.isNaN(given.getTime())) {
      input.value = new Date(given - given.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    }
    input.form.addEventListener("formdata", (event) => {
      if (input.value) event.formData.set(input.name, new Date(input.value).toISOString().slice(0, 16));
    });
  }
}

function countDown() {
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const seconds = Math.round((new Date(time.dateTime) - Date.now()) / 1000);
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
    if (seconds <= 0) time.dataset.renew = "";
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

// A page on which something is under way renews itself until that has ended, for two minutes at most.
let renewals = 0;
async function renew() {
  if (document.hidden || !document.querySelector("[data-renew]") || ++renewals > 120) return;
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("#main").replaceChildren(...page.querySelector("#main").childNodes);
  localTimes(document);
  copyButtons(document);
  countDown();
}

// What is shown once came as the answer to a form: loading the page again must not send the form again.
const { address } = document.querySelector("#main").dataset;
if (address) history.replaceState(null, "", address);

// What is wrong, over a form, leads to the field itself.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#problem-"]');
  const problem = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
  problem?.closest(".field, .tick, fieldset")?.querySelector("input, select, textarea")?.focus();
});

localTimes(document);
localInputs();
copyButtons(document);
document.querySelector("[data-focus]")?.focus();
for (const here of document.querySelectorAll("nav [aria-current]")) here.scrollIntoView({ block: "nearest", inline: "center" });
if (document.querySelector("time[data-countdown], [data-renew]")) {
  countDown();
  setInterval(countDown, 1000);
  setInterval(renew, 1000);
}
