# Instalments of a loan: JSON on stdin, JSON on stdout, one request per run.
# Every input is a list of numbers under a name of its own, so a name and its brackets are all there is to look for.

{ request = request $0 }

END {
    rows = numbers("principal", principals)
    if (numbers("annual_rate", rates) != rows || numbers("months", months) != rows || !rows) {
        print "{\"error\": \"inputs must be principal, annual_rate and months, equally long\"}"
        exit 1
    }
    grace = param("grace_months") + 0
    advance = param("in_advance") == "true"
    for (row = 1; row <= rows; row++) {
        between = row < rows ? ", " : ""
        due = payment(principals[row], rates[row] / 12, months[row])
        interest = due * months[row] - principals[row]
        payments = payments sprintf("%.15g", due) between
        interests = interests sprintf("%.15g", interest > 0 ? interest : 0) between
    }
    printf "{\"outputs\": {\"payment\": [%s], \"total_interest\": [%s]}}\n", payments, interests
}

# What is due each month; `rate` is per month.
function payment(principal, rate, months,    owed, share) {
    owed = principal * (1 + rate) ^ grace
    if (rate * months < 1e-6)  # 1 - (1 + rate)^-months would cancel
        share = (1 + rate * (months + 1) / 2) / months
    else
        share = rate / (1 - (1 + rate) ^ -months)
    return owed * share / (advance ? 1 + rate : 1)
}

# Put the list called `name` into `list`; how many it holds.
function numbers(name, list) {
    if (!match(request, "\"" name "\" *: *\\[[^]]*\\]"))
        return 0
    return split(substr(request, RSTART + index(substr(request, RSTART), "["),
                        RLENGTH - index(substr(request, RSTART), "[") - 1), list, /, */)
}

# The parameter called `name`, as it is written.
function param(name,    found) {
    if (!match(request, "\"" name "\" *: *[^],} ]+"))
        return ""
    found = substr(request, RSTART, RLENGTH)
    sub(/^[^:]*: */, "", found)
    return found
}
