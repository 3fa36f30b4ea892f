# For gdb on `rondo debug`: source this file. After a monitor command that moved the machine gdb forgets what it has read.
define hookpost-monitor
python
import gdb
for cache in ("register-cache", "dcache"):
    gdb.execute("maintenance flush " + cache, to_string=True)
end
end
