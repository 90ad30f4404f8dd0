# A repository made, cloned, read, packed and checked, on local disk.
set -e
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
export GIT_AUTHOR_DATE='2020-01-01T00:00:00' GIT_COMMITTER_DATE='2020-01-01T00:00:00' GIT_CONFIG_NOSYSTEM=1
rm -rf repo clone
git init -q -b main repo
cd repo
for i in 1 2 3 4 5 6; do
	seq 1 $((i * 50)) > f$i
	git add f$i
	git commit -qm "commit $i"
done
cd ..
git clone -q repo clone
cd clone
git log --oneline | cat
git gc -q
git fsck --no-progress
git status
