# Debian's cron on a machine of its own: its mounts are private to this shell's namespace and go with it, so that no other
# crontab is run, and nothing of the real machine is written to.
# $1: a folder with `etc` (/etc/cutover), `state` (/var/lib/cutover), `cron.d`, `localtime`, `sendmail` and an empty `private`.
# $2: the binary. Both have to be passable for the user `cutover`.
set -eu
lab=$1
mount -t tmpfs tmpfs "$lab/private"
layer() {
    mkdir -p "$lab/private$1/upper" "$lab/private$1/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$lab/private$1/upper,workdir=$lab/private$1/work" "$1"
}
layer /etc
layer /var/lib
layer /usr/sbin
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /usr/local/bin
mount -t tmpfs tmpfs /var/spool/cron/crontabs
rm -rf /etc/cron.d/* /etc/crontab /etc/localtime
mkdir -p /etc/cutover /var/lib/cutover
mount --bind "$lab/etc" /etc/cutover
mount --bind "$lab/state" /var/lib/cutover
cp "$lab/localtime" /etc/localtime
install -m 644 "$lab"/cron.d/* /etc/cron.d/
install -m 755 "$lab/sendmail" /usr/sbin/sendmail
touch /usr/local/bin/cutover
mount --bind "$2" /usr/local/bin/cutover
# The user that the sample names.
echo 'cutover:x:64321:64321::/var/lib/cutover:/usr/sbin/nologin' >> /etc/passwd
echo 'cutover:x:64321:' >> /etc/group
echo 'cutover:!:20000::::::' >> /etc/shadow
exec cron -f
