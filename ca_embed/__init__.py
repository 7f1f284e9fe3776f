"""ca_embed: WhatsApp registration with ChatArchitect, inside any Python web application."""
