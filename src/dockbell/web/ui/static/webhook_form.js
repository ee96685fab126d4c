// The webhook's form while one types: more rows, only the fields that count, and what would have matched.
import { localTimes } from "./page.js";

const form = document.querySelector("form[data-preview]");

for (const search of document.querySelectorAll("input[data-filter]")) {
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const item of document.querySelectorAll(search.dataset.filter)) item.hidden = !item.textContent.toLowerCase().includes(wanted);
    for (const part of document.querySelectorAll("section.types")) part.hidden = !part.querySelector("[data-type]:not([hidden])");
  });
}

if (form) {
  document.documentElement.classList.add("js");

  const showWhatCounts = () => {
    for (const part of form.querySelectorAll("[data-shown-when]")) {
      const [name, wanted] = part.dataset.shownWhen.split("=");
      part.hidden = form.elements[name].value !== wanted;
    }
  };

  /** The last row of a list is always empty: filling it adds another. */
  const growRows = (rows) => {
    const all = rows.querySelectorAll(".row");
    const last = all[all.length - 1];
    if ([...last.querySelectorAll("input")].every((input) => input.value === "")) return;
    const fresh = last.cloneNode(true);
    for (const input of fresh.querySelectorAll("input")) input.value = "";
    for (const problem of fresh.querySelectorAll(".problem")) problem.remove();
    rows.append(fresh);
  };

  let timer, asked = 0;
  const preview = async () => {
    const mine = ++asked;
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok || mine !== asked) return;
      const parts = new DOMParser().parseFromString(await answer.text(), "text/html");
      const here = form.querySelector("[data-preview-here]");
      here.replaceChildren(...parts.querySelector("[data-matches]").childNodes);
      localTimes(here);
      const own = form.querySelector('[data-drawing="own"]');
      own.replaceChildren(...parts.querySelector('[data-drawing="own"]').childNodes);
    } catch { /* The form works without the preview. */ }
  };

  form.addEventListener("input", (event) => {
    const rows = event.target.closest("[data-rows]");
    if (rows) growRows(rows);
    clearTimeout(timer);
    timer = setTimeout(preview, 400);
  });
  form.addEventListener("change", (event) => {
    showWhatCounts();
    const wanted = event.target.dataset.submit;
    if (wanted) form.requestSubmit(form.querySelector(`button[name="${wanted}"]`));
  });
  showWhatCounts();
}
