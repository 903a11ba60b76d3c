// Fetches the page again and again and shows its main part in place of the old one.
// All text is the server's, escaped: there is nothing here that builds any.
(() => {
  "use strict";
  const interval = 2000;
  const fresh = document.getElementById("fresh");
  let timer = 0;
  let answered = new Date();

  const show = (text, stale) => {
    fresh.textContent = text;
    fresh.classList.toggle("stale", stale);
  };

  const update = async () => {
    clearTimeout(timer);
    if (document.hidden) {
      return;
    }
    try {
      const response = await fetch(location.href, {
        headers: { Accept: "text/html" },
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(5 * interval),
      });
      if (!response.ok) {
        throw new Error(response.statusText);
      }
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      const live = document.getElementById("live");
      const scrolled = [...live.querySelectorAll(".scroll")].map(({ id, scrollLeft, scrollTop }) => ({ id, scrollLeft, scrollTop }));
      live.replaceWith(document.adoptNode(next.getElementById("live")));
      for (const { id, scrollLeft, scrollTop } of scrolled) {
        document.getElementById(id)?.scrollTo(scrollLeft, scrollTop);
      }
      document.title = next.title;
      answered = new Date();
      show("live", false);
    } catch {
      show("no answer since " + answered.toLocaleTimeString(), true);
    }
    timer = setTimeout(update, interval);
  };

  document.addEventListener("visibilitychange", update);
  show("live", false);
  timer = setTimeout(update, interval);
})();
