{
    match($0, /"x": \[[^]]*\]/)
    rows = split(substr($0, RSTART + 6, RLENGTH - 7), x, ", ")
    match($0, /"offset": [-0-9.e]+/)
    total = substr($0, RSTART + 10, RLENGTH - 10) + 0
    for (i = 1; i <= rows; i++) total += x[i]
    printf "{\"outputs\": {\"total\": ["
    for (i = 1; i <= rows; i++) printf "%s%s", total, i < rows ? ", " : ""
    print "]}}"
}
