#!/bin/sh
echo not yet
exit 1
