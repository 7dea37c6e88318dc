#!/bin/bash
# prompt.sh once more, with operations that wait for their answer.
HOLD="hold 5s" exec "$(dirname "$0")/prompt.sh"
