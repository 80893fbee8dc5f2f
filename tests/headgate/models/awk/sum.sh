# Repeats the total for each row. -1 fails, -2 reports an error, -3 leaves a child behind, -4 answers nonsense, -5 hangs.
cat > question.json
echo "a line for the log" >&2
case "$(cat question.json)" in
*'"x": [-1.0]'*) exit 7 ;;
*'"x": [-2.0]'*) echo '{"error": "no such well"}'; exit 0 ;;
*'"x": [-3.0]'*) sleep 300 >/dev/null & ;;
*'"x": [-4.0]'*) echo 'total: 4'; exit 0 ;;
*'"x": [-5.0]'*) sleep 300 ;;
*'"x": [-6.0]'*) yes ;;
esac
exec awk -f sum.awk question.json
