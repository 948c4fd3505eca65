# Stops the server when nobody shares its lease any more. Standard input is the lease's read end.
# Arguments: the lease, the list of shares, the server's data folder, how many seconds to linger.
lease=$1 shares=$2 data=$3 linger=$4

# Each line is a new share. End-of-file means that the last process which held one is gone.
busy=yes
while [ "$busy" ]; do
    busy=
    while read -r share; do
        # Written back, so that a newcomer knows: it is counted. An empty line only asks whether anybody reads.
        [ "$share" ] && busy=yes && echo "$share" >>"$shares"
    done
    if [ "$busy" ] && [ "$linger" -gt 0 ] && [ -p "$lease" ]; then
        # A sleeping child is one more holder; only an end-of-file without newcomers since the last one is final.
        exec 3>"$lease"
        sleep "$linger" </dev/null >&3 &
        exec 3>&-
    fi
done

# The starter may have been killed before its server had written its process id.
pid=$(head -n 1 "$data/postmaster.pid") || { sleep 1; pid=$(head -n 1 "$data/postmaster.pid"); }

# Removed first and closed then: a newcomer who finds the list, but no reader, knows that the watcher was killed.
rm -f "$shares"
exec </dev/null

# The process id of a server that was killed may belong to anybody by now.
command_line=$(tr '\000' ' ' <"/proc/$pid/cmdline" || ps -ww -o args= -p "$pid")
case "$command_line " in
*" -D $data "*) kill -INT "$pid" ;;
esac
