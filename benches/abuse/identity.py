"""What a trusted source says of its user."""

IDENTITY = {
    "x-forwarded-user": "nick@example.com",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
}
