"""What a trusted source says of its users."""


def _of(user: str, address: str) -> dict[str, str]:
    return {"x-forwarded-user": user, "x-forwarded-for": address, "x-forwarded-proto": "https"}


BYSTANDER = _of("nick@example.com", "203.0.113.7")
ATTACKER = _of("mallory@example.com", "203.0.113.66")
