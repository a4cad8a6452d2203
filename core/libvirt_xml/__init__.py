"""Descriptions in libvirt's XML: built from specs, parsed by the same classes."""

from core.libvirt_xml.domain import NAMESPACE, domain_name, domain_xml
from core.libvirt_xml.storage import pool_xml

__all__ = ["NAMESPACE", "domain_name", "domain_xml", "pool_xml"]
