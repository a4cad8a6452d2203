"""Translation of texts that people read (GNU gettext).

Texts are written in English and marked where they stand: with :func:`N_` when they are declared (a
column title, an error's sentence), with :func:`_` when they are shown. Nothing is translated in the
daemon: errors travel as an English sentence with its parameters and are translated where they are
shown, so that two people may read one cloud in two languages.
"""

from __future__ import annotations

import gettext
import os
import re
from pathlib import Path

DOMAIN = "dosvm"
LOCALE_DIRECTORY = Path(__file__).parent / "locale"
#: Languages the program is complete in, by code, with the name each has in itself.
LANGUAGES = {"en": "English", "zh_CN": "中文"}

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def N_(message: str) -> str:
    """Mark a text for translation without translating it yet."""
    return message


def _(message: str) -> str:
    """The text in the language now set; the English text when there is no translation."""
    return _catalogue.gettext(message) if message else ""


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of a text that goes with a count."""
    return _catalogue.ngettext(singular, plural, count)


def language() -> str:
    """The code of the language now set, one of :data:`LANGUAGES`."""
    return _language


def set_language(code: str) -> None:
    """Switch the language of the whole process; an unknown code means English."""
    global _catalogue, _language
    _language = code if code in LANGUAGES else "en"
    if _language == "en":
        _catalogue = gettext.NullTranslations()
    else:
        _catalogue = gettext.translation(DOMAIN, LOCALE_DIRECTORY, [_language], fallback=True)


def language_meant(name: str) -> str:
    """The code of the language that a name means, with a country and a character set or without; empty when none is.

    Args:
        name: ``zh``, ``zh_CN``, ``zh-TW``, ``en_GB.UTF-8`` and the like.
    """
    # POSIX has language[_territory][.codeset][@modifier], the web (BCP 47) dashes.
    wanted = re.split("[-_.@]", name.lower(), maxsplit=1)[0]
    return next((code for code in LANGUAGES if code.partition("_")[0] == wanted), "")


def language_from_environment() -> str:
    """The language that the POSIX locale variables ask for (LC_ALL, LC_MESSAGES, LANG); English for any other."""
    for variable in ("DOSVM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            return language_meant(value) or "en"
    return "en"


def sentences(*texts: str) -> str:
    """Translated sentences one after the other: a blank stands between them, but not behind Chinese signs."""
    whole = ""
    for text in filter(None, texts):
        whole += text if not whole or whole.endswith(("。", "！", "？", "；")) else f" {text}"
    return whole
