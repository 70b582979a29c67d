/*
 * theme - light or dark, before anything is drawn: as the system has it, unless one was chosen
 *
 * The choice is of this browser, and of all its pages: one that is changed changes the others.
 */
"use strict";
(() => {
    const root = document.documentElement;
    const darkness = matchMedia("(prefers-color-scheme: dark)");
    let forced = "";
    const chosen = () => {
        try {
            return localStorage.getItem("mpalloc.theme") ?? forced;
        } catch {
            return forced; // where pages may keep nothing
        }
    };
    let shown = "";
    const show = () => {
        const theme = chosen() || (darkness.matches ? "dark" : "light");
        if (shown !== theme) {
            shown = root.dataset.theme = theme;
            dispatchEvent(new Event("themechange"));
        }
    };
    window.isDarkChosen = () => shown === "dark";
    darkness.addEventListener("change", show);
    addEventListener("storage", show);
    window.switchTheme = () => {
        forced = shown === "dark" ? "light" : "dark";
        try {
            localStorage.setItem("mpalloc.theme", forced);
        } catch {
            // then it is of this page alone
        }
        show();
    };
    show();
})();
