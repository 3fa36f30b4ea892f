# From the failure back to its cause. The recording is at its start; damaged() is called where the guest notices.
set pagination off
set confirm off
set width 0
break damaged
continue
# Who wrote that word?
watch -l record[slot]->word[word]
reverse-continue
# The timer, into a block that the record has. So the pool gave the block out twice. Was take() ever interrupted?
delete
break *timer_interrupt if *(unsigned long*)$rsp > (unsigned long)take && *(unsigned long*)$rsp < (unsigned long)give_back
reverse-continue
backtrace
monitor when
# There: between reading free_list and writing it.
up
x/i $pc
