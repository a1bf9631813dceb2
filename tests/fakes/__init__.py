"""Loopback stand-ins for the model hubs, with faults to switch on."""
