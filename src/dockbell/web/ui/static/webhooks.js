// The import page: a chosen file is read into the text field, so that the form stays plain text.

for (const chooser of document.querySelectorAll("[data-into]")) {
  const field = document.getElementById(chooser.dataset.into);
  chooser.closest("[hidden]")?.removeAttribute("hidden");
  chooser.addEventListener("change", async () => {
    const [file] = chooser.files;
    if (file) field.value = await file.text();
  });
}
