"""What attacks share: definition, registry, activation, and the SMTP session that they act on."""
