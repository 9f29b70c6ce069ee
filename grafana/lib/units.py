"""Numbers in Grafana's units, as text."""


def shown(value, unit):
    """`value` in `unit`, with three digits and no more."""
    if unit == "s":
        return _scaled(value, [(86_400, " d"), (3_600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs")])
    if unit == "bytes":
        return _scaled(value, [(2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")])
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    text = _scaled(value, [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1, "")])
    return text + {"cps": "/s", "reqps": "/s"}.get(unit, "")


def _scaled(value, steps):
    if value == 0:
        return "0" + steps[-1][1] if steps[-1][0] == 1 else "0"
    for factor, name in steps:
        if abs(value) >= factor:
            return f"{value / factor:.3g}{name}"
    factor, name = steps[-1]
    return f"{value / factor:.3g}{name}"
