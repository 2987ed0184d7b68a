"""Which of the forms that a resource has is the one that a client asks for."""


def preferred(accept: str | None, offered: tuple[str, ...]) -> str:
    """The media type with the highest weight; of equals the first offered, which is also the one for `*/*`."""
    weights = _weights(accept or "*/*")

    def weight(media_type: str) -> float:
        kind = media_type.split("/", maxsplit=1)[0]
        return next((weights[key] for key in (media_type, f"{kind}/*", "*/*") if key in weights), 0.0)

    return max(offered, key=weight)


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        weights[media_type] = float(given) if given.replace(".", "", 1).isdigit() else 0.0
    return weights
