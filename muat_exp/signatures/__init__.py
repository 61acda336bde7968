"""Activation signatures and the probe sets they are taken on."""
