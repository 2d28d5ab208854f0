"""Peers that mean harm or are broken: receivers and name servers, each with its right outcome."""
