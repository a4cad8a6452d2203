"""Which hostds this machine's console asks, and how (manual 13.2.2). Kept on this machine, not in the cloud."""

from __future__ import annotations

from core.i18n import N_
from screens.spec import SYSADM, Action, Column, Field, Kind, ResourceSpec

_PATH = N_("A PEM file: its full path, or one relative to the file of these parameters.")
HOSTS = N_("Hosts of hostd")
USE_SSL = N_("Use SSL")
CERTIFICATE = N_("SSL certificate")
KEY = N_("SSL private key")
AUTHORITY = N_("SSL root certificate")
PASSWORD = N_("SSL password")

#: The form, and the options of `dosvm console-settings edit`.
FIELDS = (
    Field(
        "hosts",
        HOSTS,
        Kind.LIST,
        hint=N_("Addresses, with :port unless it is 5555; the first that answers is asked. Nothing: this machine's."),
    ),
    Field("use_ssl", USE_SSL, Kind.BOOLEAN, hint=N_("As in dosvm.toml of those hosts: both sides on, or both off.")),
    Field("ssl_cert", CERTIFICATE, rule="tls_file", hint=_PATH),
    Field("ssl_key", KEY, rule="tls_file", hint=_PATH),
    Field("ssl_ca", AUTHORITY, rule="tls_file", hint=_PATH),
    Field(
        "ssl_password",
        PASSWORD,
        Kind.SECRET,
        twice=True,
        hint=N_("The password of the private key, if it has one. Left empty it stays as long as the key does."),
    ),
    Field(
        "anyway",
        N_("Save anyway"),
        Kind.BOOLEAN,
        hint=N_("Every host is asked before it is saved; with this it is saved even if none answers."),
    ),
)

SPEC = ResourceSpec(
    name="console-settings",
    title=N_("Console parameters"),
    singular=N_("console parameters"),
    section=N_("Parameters"),
    columns=(
        Column("hosts", HOSTS, 40, Kind.LIST),
        Column("use_ssl", USE_SSL, 8, Kind.BOOLEAN),
        Column("ssl_cert", CERTIFICATE, 40),
        Column("ssl_key", KEY, 40),
        Column("ssl_ca", AUTHORITY, 40),
        Column("ssl_password", PASSWORD, 12, Kind.BOOLEAN),
        Column("file", N_("Kept in"), 40),
        Column("error", N_("Error"), kind=Kind.MULTILINE),
    ),
    actions=(
        Action("edit", N_("Edit"), key="e", fields=FIELDS, screen="console-settings-edit", roles=(SYSADM,)),
        Action("test", N_("Test connection"), key="t", screen="console-settings-test", roles=(SYSADM,)),
    ),
    roles=(SYSADM,),
    list_operation="-",
    show_operation="-",
    detail_screen="console-settings",
    single=True,
    help=N_(
        "Which hostds the console and the commands of this machine ask. Usually its own; on a machine that has none, or"
        " for when that one is gone, name others here: they are reached by SSL with a certificate made by `dosvm cert"
        " issue`. What you save counts at once, in consoles that run as well."
    ),
)
