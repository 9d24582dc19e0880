// Filters of the claims ledger. Without this script the list stands there whole.
(() => {
  const root = document.currentScript.closest(".odyssey-ledger");
  if (!root || root.classList.contains("live")) return;
  const claims = [...root.querySelectorAll("details.claim")];
  const chips = [...root.querySelectorAll(".chips button")];
  const fields = [...root.querySelectorAll("[data-filter]")];
  const search = root.querySelector("input[type=search]");
  const showing = root.querySelector(".showing");
  const none = root.querySelector(".none");
  root.classList.add("live");

  const chosen = () => chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.value);
  const words = (field) => field.selectedOptions[0].textContent;

  function apply() {
    const verdicts = chosen();
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    for (const claim of claims) {
      const fits = (verdicts.length === 0 || verdicts.includes(claim.dataset.verdict))
        && fields.every((field) => !field.value || claim.dataset[field.dataset.filter] === field.value)
        && text.split(/\s+/).every((word) => claim.textContent.toLowerCase().includes(word));
      claim.hidden = !fits;
      shown += fits;
    }
    for (const section of root.querySelectorAll("section")) {
      section.hidden = ![...section.querySelectorAll("details.claim")].some((claim) => !claim.hidden);
    }
    const parts = [...fields.filter((field) => field.value).map(words), verdicts.join(" or "), text && `“${text}”`];
    const told = parts.filter(Boolean).join(", ");
    showing.textContent = `${shown} of ${claims.length} claims${told ? `: ${told}` : ""}`;
    none.hidden = shown > 0;
  }

  function reset() {
    chips.forEach((chip) => chip.setAttribute("aria-pressed", "false"));
    fields.forEach((field) => { field.value = ""; });
    search.value = "";
    apply();
  }

  function openNamed() {
    const name = decodeURIComponent(location.hash.slice(1));
    const claim = claims.find((each) => each.id === name);
    if (!claim) return;
    if (claim.hidden) reset();
    claim.open = true;
    claim.scrollIntoView({ block: "start" });
  }

  chips.forEach((chip) => chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    apply();
  }));
  fields.forEach((field) => field.addEventListener("change", apply));
  search.addEventListener("input", apply);
  root.querySelector(".reset").addEventListener("click", reset);
  root.querySelector(".controls").addEventListener("keydown", (event) => { if (event.key === "Escape") reset(); });
  window.addEventListener("hashchange", openNamed);
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = claims.filter((claim) => !claim.open && !claim.hidden);
    opened.forEach((claim) => { claim.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((claim) => { claim.open = false; }));
  apply();
  openNamed();
  window.addEventListener("load", openNamed);
})();
