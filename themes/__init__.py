"""Colours. Each theme is a set of Textual's variables; signs and words tell the same without them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from textual.theme import Theme

from core.i18n import N_

#: Grey for what is of less weight, per theme: Textual's own fades into the background on small palettes.
_DARK = Theme(
    name="dark",
    primary="#4c8dd6",
    secondary="#3a6ea5",
    accent="#e0a84e",
    warning="#e0b040",
    error="#e0606a",
    success="#5fbf77",
    foreground="#dcdfe4",
    background="#14171c",
    surface="#20252d",
    panel="#252b34",
    boost="#2c3440",
    dark=True,
    variables={
        "block-cursor-background": "#2f5f93",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "text-muted": "#8b94a3",
        "text-primary": "#7fb2ea",
        "text-accent": "#e9bd74",
        "text-success": "#79d092",
        "text-warning": "#e8c363",
        "text-error": "#f0858d",
        "border": "#4c8dd6",
        "input-selection-background": "#4c8dd6 40%",
    },
)
_LIGHT = Theme(
    name="light",
    primary="#1d5fa8",
    secondary="#3a6ea5",
    accent="#96590a",
    warning="#8a5a00",
    error="#b3202c",
    success="#1d7a3a",
    foreground="#1c2026",
    background="#fbfbf9",
    surface="#eceef0",
    panel="#e2e6ea",
    boost="#d9e4ef",
    dark=False,
    variables={
        "block-cursor-background": "#1d5fa8",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "text-muted": "#667080",
        "text-primary": "#1d5fa8",
        "text-accent": "#96590a",
        "text-success": "#1d7a3a",
        "text-warning": "#8a5a00",
        "text-error": "#b3202c",
        "border": "#1d5fa8",
        "input-selection-background": "#1d5fa8 30%",
    },
)
_HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#00ffff",
    warning="#ffd000",
    error="#ff6b6b",
    success="#00ff5f",
    foreground="#ffffff",
    background="#000000",
    surface="#303030",
    panel="#101010",
    boost="#333333",
    dark=True,
    variables={
        "block-cursor-background": "#ffffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-text-style": "bold",
        "text-muted": "#d0d0d0",
        "text-primary": "#ffff00",
        "text-accent": "#00ffff",
        "text-success": "#00ff5f",
        "text-warning": "#ffd000",
        "text-error": "#ff8080",
        "border": "#ffffff",
        "input-selection-background": "#0050ff",
    },
)


def _ansi(name: str, *, grey: str) -> Theme:
    """A theme of the terminal's own sixteen colours."""
    return Theme(
        name=name,
        ansi=True,
        primary="ansi_blue",
        secondary="ansi_cyan",
        accent="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=True,
        variables={
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "border-blurred": "ansi_black",
            "block-cursor-background": "ansi_blue",
            "block-cursor-foreground": "ansi_bright_white",
            "block-cursor-text-style": "none",
            "text-muted": grey,
            "text-primary": "ansi_bright_cyan",
            "text-accent": "ansi_bright_yellow",
            "text-success": "ansi_bright_green",
            "text-warning": "ansi_bright_yellow",
            "text-error": "ansi_bright_red",
            "border": "ansi_blue",
            "input-cursor-background": "ansi_white",
            "input-cursor-foreground": "ansi_black",
        },
    )


#: Themes by name, in the order F7 goes through them.
THEMES: Mapping[str, Theme] = {
    theme.name: theme
    for theme in (
        _DARK,
        _LIGHT,
        _HIGH_CONTRAST,
        _ansi("16-colour", grey="ansi_bright_black"),
        _ansi("plain", grey="ansi_default"),
    )
}
#: What people call each.
TITLES: Mapping[str, str] = {
    "dark": N_("dark"),
    "light": N_("light"),
    "high-contrast": N_("high contrast"),
    "16-colour": N_("the terminal's 16 colours"),
    "plain": N_("plain, ASCII frames"),
}
#: Terminals whose font has neither Chinese nor braille nor round corners.
_BARE = frozenset({"linux", "vt100", "vt102", "vt220", "ansi", "cons25"})


def is_plain(theme: str) -> bool:
    """Whether a theme draws with ASCII only."""
    return theme == "plain"


def theme_for_terminal(environment: Mapping[str, str] = os.environ, chosen: str = "") -> str:
    """The theme that suits a terminal: the one chosen, perhaps at another terminal, if this one can show it."""
    term = environment.get("TERM", "")
    if term in _BARE:
        return "plain"
    if chosen:
        return chosen
    if environment.get("COLORTERM", "") in ("truecolor", "24bit") or "256color" in term or "direct" in term:
        return "dark"
    return "16-colour"
