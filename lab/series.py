#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The patch series as files, as a git tree, and as mail.

The repository keeps a change to an existing source file as a numbered patch
and a new source file whole.  Below the "---" line of a patch, where git am
does not look, stand its directives:

  New-file: PATH [<- REPO_PATH]   this patch also adds the whole file PATH,
                                  kept in the repository as REPO_PATH

The repository's MAINTAINERS has lines for the sections of the base's.  The first
patch that adds a file that a line names merges that line, too.

patches/TARGET/cover-NAME.txt is the cover letter of a series that is sent by
itself.  Its first line is the subject.  Then come lines, and after an empty one
the text:

  Begins with: SUBJECT            the series' first patch
  Needs: NAME...                  the series before it on which it applies, or
                                  "nothing"; all of them without this line
  Kind: fixes                     each of its patches needs a Fixes tag, or a line
                                  "No Fixes tag: REASON"

On a base whose version lab/base/TARGET does not list, a patch that does not
apply is merged: 3-way with the files of a listed version, if its source can be
had, else each hunk with the lines around it.

A whole file is kept as it is after the last patch. Where a later patch has hunks
for it, the commit that adds the file takes it as it was before them.

  series.py tree    TARGET PRISTINE DEST   git tree: base + one commit a patch
  series.py overlay TARGET PRISTINE DEST   the same, but only touched files
  series.py mail    TARGET TREE OUT        mail-ready patches, cover letters
  series.py refresh TARGET TREE [INTO]     commits and edits of TREE come back
  series.py layout  TARGET                 is every whole file named just once?
  series.py messages TARGET                has every patch a message as it should be?
  series.py files   TARGET changed|new     the tree's paths that are touched
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Where a target's whole files lie: the repository's directories that hold
# them, what precedes the in-tree path there, and the exceptions to that.
TARGETS = {
    "linux": {
        "roots": ["arch", "drivers", "include", "tools", "Documentation",
                  "virt", "mm", "lib", "kernel", "samples", "Kconfig"],
        "prefix": "",
        "special": {"arch/s390/kvm/Kconfig.zpci": "Kconfig"},
        "maintainers": "MAINTAINERS",
    },
    "qemu": {"roots": ["qemu"], "prefix": "qemu/", "special": {},
             "maintainers": None},
}

# The base commit is the same on every machine and in every run.
BASE_IDENT = ("base", "base@localhost", "Wed, 1 Jan 2025 00:00:00 +0000")


class Fail(Exception):
    """A message for the user; no traceback."""


def git(tree, *args, check=True, data=None, env=None):
    """Run git without the user's configuration, which must not leak in."""
    full = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null",
                GIT_CONFIG_NOSYSTEM="1", LC_ALL="C", TZ="UTC")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        full.pop(name, None)
    full.update(env or {})
    run = subprocess.run(["git", "-C", tree, "-c", "core.quotePath=false",
                          "-c", "gc.auto=0", "-c", "safe.directory=*", *args],
                         input=data, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=full, check=False)
    out = run.stdout.decode("utf-8", "surrogateescape")
    if check and run.returncode:
        raise Fail(f"git {args[0]} in {tree} failed:\n"
                   + run.stderr.decode(errors="replace") + out)
    return out if check else (run.returncode, run.stderr.decode() + out)


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
        f.write(text)


def base_info(target):
    """The name = value lines of lab/base/TARGET."""
    info = {}
    for line in read(os.path.join(REPO, "lab/base", target)).splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            info[key.strip()] = value.strip()
    return info


class Base:
    """The source that the patches go on, by the name of its directory."""

    def __init__(self, target, pristine):
        info = base_info(target)
        name = os.path.basename(os.path.realpath(pristine))
        self.target = target
        self.version = name.removeprefix(target + "-")
        self.listed = info["versions"].split()
        self.known = False
        for version in self.listed:
            # As lab/fetch names the directory.
            if re.sub("[:/]", "_", version) == self.version:
                self.version, self.known = version, True
        self.name = f"{info['package'].split()[0]} {self.version}"

    def listed_source(self):
        """The directory of a version that is listed, if it can be had."""
        env = {k: v for k, v in os.environ.items()
               if k != f"{self.target.upper()}_SOURCE"}
        for version in self.listed:
            env[f"{self.target.upper()}_VERSION"] = version
            run = subprocess.run([os.path.join(REPO, "lab/fetch"), self.target],
                                 env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, check=False)
            if run.returncode == 0:
                return run.stdout.decode().strip()
        return None


class Patch:
    """One file of patches/TARGET."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        head, _, rest = read(path).partition("\n\n")
        head = re.sub(r"\n[ \t]+", " ", head)
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", head, re.M))
        who = re.match(r"(.*) <(.*)>$", fields.get("From", ""))
        if not who or "Subject" not in fields or "Date" not in fields:
            raise Fail(f"{path}: needs From, Date and Subject lines at its "
                       "head, as git format-patch writes them")
        self.author, self.email = who.groups()
        self.date = fields["Date"]
        self.subject = re.sub(r"^\[[^]]*\] *", "", fields["Subject"])
        parts = re.split(r"^---\n", rest, maxsplit=1, flags=re.M)
        if len(parts) != 2:
            raise Fail(f"{path}: has no '---' line after its message: put one, "
                       "its directives go below it")
        self.body = parts[0].strip("\n")
        notes, mark, diff = parts[1].partition("diff --git ")
        self.diff = mark + diff
        self.new = []
        for line in notes.splitlines():
            field, _, value = line.partition(": ")
            if field == "New-file":
                inside, _, outside = value.partition(" <- ")
                self.new.append((inside.strip(), outside.strip() or None))

    def message(self):
        return self.subject + "\n\n" + self.body + "\n"

    def touches(self):
        """Paths of existing files that the diff needs."""
        return [old for old in re.findall(r"^--- a/(.*?)\t?$", self.diff, re.M)]

    def paths(self):
        """All paths that the diff names."""
        return sorted(set(re.findall(r"^(?:---|\+\+\+) [ab]/(.*?)\t?$",
                                     self.diff, re.M)))

    def apply(self, tree, *args):
        """Have git apply the diff: 0 if that went well, and what git says."""
        return git(tree, "apply", "--whitespace=nowarn", *args, "-", check=False,
                   data=self.diff.encode("utf-8", "surrogateescape"))


def patches(target, repo=REPO):
    folder = os.path.join(repo, "patches", target)
    if not os.path.isdir(folder):
        return []
    names = sorted(n for n in os.listdir(folder)
                   if re.match(r"\d{4}-.*\.patch$", n))
    return [Patch(os.path.join(folder, n)) for n in names]


def repo_path(target, inside, outside=None):
    conf = TARGETS[target]
    return outside or conf["special"].get(inside) or conf["prefix"] + inside


def foreign(target, outside):
    """Is that file of the repository another target's?"""
    return outside.split("/")[0] not in TARGETS[target]["roots"]


def sections(text):
    """MAINTAINERS as [title, lines]; the first has the text before them."""
    out = [["", []]]
    lines = text.splitlines()
    for i, line in enumerate(lines):
        title = (line and not line[0].isspace() and i + 1 < len(lines)
                 and re.match(r"[A-Z]:\t", lines[i + 1])
                 and not re.match(r"[A-Z]:\s", line))
        if title:
            out.append([line, []])
        out[-1][1].append(line)
    return out


def maintained_by(path, line):
    """Does that line of MAINTAINERS name the file?  As get_maintainer.pl does."""
    pattern = line[2:].strip()
    return line.startswith("F:") and (
        path.startswith(pattern) if pattern.endswith("/") else
        path.count("/") == pattern.count("/") and fnmatch.fnmatch(path, pattern))


def own_maintainers(target):
    """The repository's MAINTAINERS, or None."""
    name = TARGETS[target]["maintainers"]
    path = name and os.path.join(REPO, name)
    return read(path) if path and os.path.isfile(path) else None


def merge_maintainers(text, fragment, paths):
    """Insert the fragment's lines that name one of the files into the sections."""
    have = sections(text)
    for title, lines in sections(fragment)[1:]:
        lines = lines[:1] + [l for l in lines[1:]
                             if any(maintained_by(p, l) for p in paths)]
        if not lines[1:]:
            continue
        match = [s for s in have if s[0] == title]
        if len(match) != 1:
            raise Fail(f"the base's MAINTAINERS has no section '{title}', which "
                       "that of the repository names: adapt its title")
        body = match[0][1]
        for line in lines[1:]:
            if line in body:
                continue
            # Keep a tag's lines sorted: before the first greater one, else
            # after its last; an absent tag goes where its letter sorts.
            tag = line[:2]
            same = [i for i, l in enumerate(body) if l[:2] == tag]
            greater = [i for i in same if body[i] > line]
            order = "MRLSWQBCPTFXNK"
            before = [i for i, l in enumerate(body) if i and l[1:2] == ":"
                      and order.find(l[0]) <= order.find(tag[0])]
            at = (greater[0] if greater else same[-1] + 1 if same
                  else before[-1] + 1 if before else 1)
            body.insert(at, line)
    return "\n".join(l for s in have for l in s[1]) + "\n"


def maintainers_fragment(base, head):
    """What head adds to base, section by section; nothing may go away."""
    out = []
    old = {t: lines for t, lines in sections(base)}
    for title, lines in sections(head):
        if title not in old:
            raise Fail(f"MAINTAINERS: new section '{title}'; only lines of "
                       "existing sections can be kept: add them to one")
        if [l for l in old[title] if l not in lines]:
            raise Fail(f"MAINTAINERS: '{title}' loses lines; only added "
                       "lines can be kept")
        added = [l for l in lines if l not in old[title]]
        if added:
            out.append("\n".join([title, *added]))
    return "\n\n".join(out) + "\n"


def copy_in(src, dest):
    os.makedirs(os.path.dirname(dest), exist_ok=True)
    if os.path.islink(src):
        os.symlink(os.readlink(src), dest)
    else:
        shutil.copy(src, dest)


def commit(tree, who, message, extra=()):
    name, email, date = who
    env = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER")
           for field, value in (("NAME", name), ("EMAIL", email),
                                ("DATE", date))}
    git(tree, "commit", "-q", "--no-verify", "--allow-empty", "--cleanup=verbatim",
        "-F", "-", *extra, data=message.encode("utf-8", "surrogateescape"),
        env=env)


def add_whole(target, tree, inside, outside, later):
    """The whole file as it was before the hunks that LATER patches have for it."""
    copy_in(os.path.join(REPO, repo_path(target, inside, outside)),
            os.path.join(tree, inside))
    for patch in reversed(later):
        if inside in patch.touches():
            code, log = patch.apply(tree, "-R", f"--include={inside}")
            if code:
                raise Fail(f"{os.path.relpath(patch.path, REPO)}: its hunks for "
                           f"{inside} can't be taken from the whole file. Edit "
                           f"both, or use 'make refresh'.\n{log}")
    git(tree, "add", "-f", inside)


class Merger:
    """Merges patches into a base that has changed since they were made."""

    def __init__(self, base, tree):
        self.base = base
        self.tree = tree
        self.merged = []
        # Does the tree have the files that the patches were made for? None: unknown.
        self.blobs = None

    def get_blobs(self):
        """Fetch all states of the files in a tree on a listed version."""
        print(f"{self.base.target}: looking for the source of "
              f"{' or '.join(self.base.listed)}, for a 3-way merge",
              file=sys.stderr)
        source = self.base.listed_source()
        self.blobs = False
        if source:
            with tempfile.TemporaryDirectory(dir=os.path.dirname(self.tree)) as work:
                other = os.path.join(work, "tree")
                try:
                    make_tree(self.base.target, source, other, slim=True)
                except Fail:
                    return
                git(self.tree, "fetch", "-q", "--no-tags", other, "HEAD")
            self.blobs = True

    def merge(self, patch, log):
        """Have the patch in the index; LOG says why it does not apply as it is."""
        if self.blobs is None:
            self.get_blobs()
        if self.blobs:
            code, log = patch.apply(self.tree, "--3way")
            files = git(self.tree, "diff", "--name-only", "--diff-filter=U").split()
        else:
            # Without the file that the patch was made for, the hunk's own lines
            # stand for it.
            run = subprocess.run(
                ["patch", "-p1", "--merge=diff3", "--no-backup-if-mismatch",
                 "--force", "--reject-file=-", "-d", self.tree],
                input=patch.diff.encode("utf-8", "surrogateescape"),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            code, log = run.returncode, run.stdout.decode(errors="replace")
            files = re.findall(r"^patching file (.*)\n(?:Hunk .*\n)*?Hunk .*NOT MERGED",
                               log, re.M)
            if not code:
                git(self.tree, "add", "-A", "-f", "--", *patch.paths())
        if code:
            where = (f" in {' '.join(files)}: {self.tree} has it, resolve it there"
                     " and put what 'git diff HEAD' says into the patch"
                     if files else ": adapt it")
            raise Fail(
                f"{os.path.relpath(patch.path, REPO)} conflicts with "
                f"{self.base.name}{where}. Or take a version known to work, "
                f"{' or '.join(self.base.listed)}.\n{self.said()}{log}")
        same = not git(self.tree, "diff", "--cached", "--name-only")
        self.merged.append(patch.name[:4] + (" (is in the base)" if same else ""))

    def said(self):
        if not self.merged:
            return ""
        return (f"{self.base.name} is not known to work: patches merged "
                f"{'3-way' if self.blobs else 'by context'}: "
                f"{', '.join(self.merged)}\n")


# Where a number of ours may be one that the base has taken for something else.
NUMBERS = {
    "include/uapi/linux/kvm.h": ("KVM_CAP_", "KVM_DEV_TYPE_"),
    "include/uapi/linux/vfio.h": ("VFIO_DEVICE_FEATURE_",
                                  "VFIO_DEVICE_INFO_CAP_"),
    "include/uapi/linux/iommufd.h": ("IOMMU_HWPT_DATA_", "IOMMU_HW_INFO_TYPE_",
                                     "IOMMU_HWPT_INVALIDATE_DATA_"),
}


def numbers(text, prefix):
    """{name: number} of a header's macros and enumerators with that prefix."""
    found = {}
    for name, value in re.findall(
            rf"^#[ \t]*define[ \t]+({prefix}\w+)[ \t]+\(?(\d+)\)?[ \t]*(?:/\*.*)?$",
            text, re.M):
        found[name] = int(value)
    for body in re.findall(r"^enum\b[^{;]*\{(.*?)^\}", text, re.M | re.S):
        last = -1
        for name, value in re.findall(r"^[ \t]*([A-Z]\w*)(?:[ \t]*=[ \t]*(\w+))?"
                                      r"[ \t]*,?[ \t]*(?:/\*.*)?$", body, re.M):
            last = (last + 1 if not value else int(value, 0)
                    if value[0].isdigit() else found.get(value, last + 1))
            if name.startswith(prefix) and not name.endswith("_MAX"):
                found[name] = last
    return found


def check_numbers(base, pristine, series, tree=None):
    """Fail if the base has a number that the series defines for something else,
    or, in the TREE with the series, if QEMU's patches have another number."""
    qemu = "".join(p.diff for p in patches("qemu"))
    added = "\n".join(re.findall(r"^\+(?!\+\+)(.*)", "".join(
        p.diff for p in series), re.M))
    for path, prefixes in NUMBERS.items():
        if not os.path.isfile(os.path.join(pristine, path)):
            continue
        for prefix in prefixes:
            taken = numbers(read(os.path.join(pristine, path)), prefix)
            if tree and os.path.isfile(os.path.join(tree, path)):
                ours = numbers(read(os.path.join(tree, path)), prefix)
            else:
                ours = numbers(added, prefix)
            ours = {n: v for n, v in ours.items() if n not in taken}
            for name, value in ours.items():
                others = [n for n, v in taken.items() if v == value]
                if others:
                    free = max([*taken.values(), *ours.values()]) + 1
                    raise Fail(f"{path}: {name} is {value}, and so is "
                               f"{others[0]} of {base.name}: take another number, "
                               f"such as {free}, here and in patches/qemu")
                match = re.search(rf"^\+(?:#define)?\s+{name}[\s=]+(\d+)\b", qemu,
                                  re.M)
                if tree and match and int(match[1]) != value:
                    raise Fail(f"{path}: {name} is {value} on {base.name}, but "
                               f"{match[1]} in patches/qemu: make them the same")


def make_tree(target, pristine, dest, slim):
    """A git tree at DEST: tag base, then one commit for each patch."""
    base = Base(target, pristine)
    series = patches(target)
    made = dest + ".new"
    shutil.rmtree(made, ignore_errors=True)
    fragment = own_maintainers(target)
    if slim:
        os.makedirs(made)
        # .gitattributes decides what git shows as a hunk's function.
        wanted = {".gitattributes"}
        for patch in series:
            wanted.update(patch.touches())
        wanted.update(["MAINTAINERS"] if fragment else [])
        for path in wanted:
            if os.path.lexists(os.path.join(pristine, path)):
                copy_in(os.path.join(pristine, path),
                        os.path.join(made, path))
    else:
        # If it is a symbolic link, not the link: git would work in the base itself.
        subprocess.run(["cp", "-a", "--reflink=auto", os.path.realpath(pristine),
                        made], check=True)
    if target == "linux":
        check_numbers(base, pristine, series)
    git(made, "init", "-q", "-b", "series")
    git(made, "add", "-A", "-f", ".")
    commit(made, BASE_IDENT, f"Debian {base.name}\n")
    git(made, "tag", "base")
    merger = Merger(base, made)
    for number, patch in enumerate(series, 1):
        if patch.diff:
            code, log = patch.apply(made, "--index")
            if code and base.known:
                raise Fail(
                    f"{os.path.relpath(patch.path, REPO)} does not apply to "
                    f"{base.name}.\n"
                    f"Versions known to work: {' '.join(base.listed)}\n{log}")
            if code:
                merger.merge(patch, log)
        for inside, outside in patch.new:
            source = os.path.join(REPO, repo_path(target, inside, outside))
            if not os.path.isfile(source):
                raise Fail(f"{patch.name}: New-file: {inside}: no such file "
                           f"{os.path.relpath(source, REPO)}")
            if (os.path.lexists(os.path.join(made, inside)) or
                    os.path.lexists(os.path.join(pristine, inside))):
                raise Fail(f"{patch.name}: New-file: {inside}: the base has "
                           "this file already")
            add_whole(target, made, inside, outside, series[number:])
        if fragment and patch.new:
            path = os.path.join(made, "MAINTAINERS")
            write(path, merge_maintainers(read(path), fragment,
                                          [inside for inside, _ in patch.new]))
            git(made, "add", "MAINTAINERS")
        commit(made, (patch.author, patch.email, patch.date), patch.message())
    if target == "linux":
        check_numbers(base, pristine, series, made)
    if merger.merged:
        print(merger.said().strip(), file=sys.stderr)
    old = dest + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.lexists(dest):
        os.rename(dest, old)
    os.rename(made, dest)
    shutil.rmtree(old, ignore_errors=True)


def commits(tree):
    if git(tree, "rev-list", "--merges", "base..HEAD").strip():
        raise Fail(f"{tree}: the series must not have merge commits: git rebase "
                   "base")
    return git(tree, "rev-list", "--reverse", "base..HEAD").split()


def fold_edits(tree):
    """Uncommitted edits go into the last commit that touches the file."""
    status = git(tree, "status", "--porcelain", "--no-renames",
                 "--untracked-files=all").splitlines()
    if not status:
        return
    fixes = {}
    for line in status:
        path = line[3:]
        if line.startswith("??"):
            raise Fail(f"{tree}: {path} is not tracked: commit it "
                       "(git add, git commit -s), or remove it")
        last = git(tree, "rev-list", "-1", "base..HEAD", "--", path).strip()
        if not last:
            raise Fail(f"{tree}: {path} is edited, but no commit of the "
                       "series touches it: commit it (git commit -s) to "
                       "make a new patch")
        fixes.setdefault(last, []).append(path)
    head = git(tree, "rev-parse", "HEAD").strip()
    ident = git(tree, "log", "-1", "--format=%an%x00%ae").strip().split("\0")
    env = {"GIT_AUTHOR_NAME": ident[0], "GIT_AUTHOR_EMAIL": ident[1],
           "GIT_COMMITTER_NAME": ident[0], "GIT_COMMITTER_EMAIL": ident[1],
           "GIT_SEQUENCE_EDITOR": "true", "GIT_EDITOR": "true"}
    git(tree, "reset", "-q")
    for last, paths in fixes.items():
        git(tree, "add", "-A", "-f", "--", *paths)
        git(tree, "commit", "-q", "--no-verify", f"--fixup={last}", env=env)
    code, log = git(tree, "rebase", "-q", "-i", "--autosquash", "--empty=keep",
                    "base", check=False, env=env)
    if code:
        git(tree, "rebase", "--abort", check=False)
        git(tree, "reset", "-q", head)
        raise Fail(f"{tree}: the edits do not fold into the commits that "
                   "touch their files; commit them by hand (git commit "
                   f"--fixup, git rebase -i --autosquash base)\n{log}")


def has_text(body):
    """Does a message say anything besides its subject and trailers?"""
    return bool(re.sub(r"(?m)^[A-Z][A-Za-z-]+: .*$", "", body).strip())


def refresh(target, tree, into):
    """Write the tree's series into the repository INTO."""
    conf = TARGETS[target]
    if git(tree, "rev-parse", "-q", "--verify", "base", check=False)[0]:
        raise Fail(f"{tree}: tag base is missing: not a tree of 'make tree'; "
                   "TREE=DIR names one")
    fold_edits(tree)
    before = patches(target, into)
    mapping = {i: repo_path(target, i, o) for p in before for i, o in p.new}
    special = {"MAINTAINERS"} if conf["maintainers"] else set()

    def names(*args):
        return git(tree, "diff-tree", "-r", "--no-renames", "--name-only",
                   *args).split("\n")[:-1]

    new = set(names("--diff-filter=A", "base", "HEAD"))
    seen = set()
    out = []
    for sha in commits(tree):
        touched = names(sha + "^", sha)
        staged = [p for p in touched if p in new & seen]
        directives = []
        for path in touched:
            if path in new and path not in seen:
                seen.add(path)
                outside = mapping.get(path) or repo_path(target, path)
                arrow = ("" if outside == conf["prefix"] + path
                         else f" <- {outside}")
                directives.append(f"New-file: {path}{arrow}")
            elif path in special:
                seen.add(path)
        kept = [p for p in touched if p not in new and p not in special]
        subject = git(tree, "log", "-1", "--format=%s", sha).strip()
        if not directives and not kept and not has_text(
                git(tree, "log", "-1", "--format=%b", sha)):
            print(f"folded into the whole files: {subject}")
            continue
        kept += staged
        diff = git(tree, "diff-tree", "-p", "--stat=72", "--no-renames",
                   "--no-color", "--no-ext-diff", "--abbrev=12", sha + "^",
                   sha, "--", *kept) if kept else ""
        head = git(tree, "log", "-1", "--format=From: %an <%ae>%nDate: %aD%n"
                   "Subject: [PATCH] %s%n%n%b", sha).rstrip("\n")
        slug = git(tree, "log", "-1", "--format=%f", sha).strip()[:52]
        text = ["From " + 40 * "0" + " Mon Sep 17 00:00:00 2001", head, "---"]
        text += directives + ([""] if directives and diff else [])
        name = f"{len(out) + 1:04}-{slug.rstrip('-.')}.patch"
        out.append((name, "\n".join(text) + "\n" + diff))

    folder = os.path.join(into, "patches", target)
    os.makedirs(folder, exist_ok=True)
    for patch in before:
        os.unlink(patch.path)
    for name, text in out:
        write(os.path.join(folder, name), text)
    keep = set()
    for path in sorted(seen & new):
        outside = mapping.get(path) or repo_path(target, path)
        keep.add(outside)
        dest = os.path.join(into, outside)
        if foreign(target, outside):
            if read(os.path.join(tree, path)) != read(dest):
                print(f"left alone: {outside}, which the other series adds: "
                      "edit it there, and make this tree anew")
            continue
        if os.path.lexists(dest):
            os.unlink(dest)
        copy_in(os.path.join(tree, path), dest)
    for outside in set(mapping.values()) - keep:
        if (not foreign(target, outside) and
                os.path.lexists(os.path.join(into, outside))):
            os.unlink(os.path.join(into, outside))
    if special & seen:
        write(os.path.join(into, conf["maintainers"]), maintainers_fragment(
            git(tree, "show", "base:MAINTAINERS"),
            git(tree, "show", "HEAD:MAINTAINERS")))
    print(f"{len(out)} patches, {len(keep)} whole files")


class Series:
    """A series that is sent by itself: patches/TARGET/cover-NAME.txt."""

    def __init__(self, target, file, subjects):
        self.name = re.match(r"cover-([\w-]+)\.txt$", file)[1]
        self.path = f"patches/{target}/{file}"
        head, _, self.text = read(os.path.join(REPO, self.path)).strip(
            "\n").partition("\n\n")
        self.subject, *lines = head.splitlines()
        fields = dict(re.findall(r"^([\w ]+): *(.*)$", "\n".join(lines), re.M))
        begin = fields.get("Begins with")
        if begin not in subjects:
            raise Fail(f"{self.path}: no patch has the subject '{begin}': adapt "
                       "its line 'Begins with:'")
        self.first = subjects.index(begin)
        self.last = self.first
        # None means all series before this one.
        self.needs = fields.get("Needs")
        if fields.get("Kind", "fixes") != "fixes":
            raise Fail(f"{self.path}: Kind: {fields['Kind']}: the only kind is "
                       "'fixes'")
        self.fixes = "Kind" in fields

    def resolve_needs(self, others):
        """Set what it needs: the names of others of those before it."""
        before = [s.name for s in others if s.first < self.first]
        if self.needs is None:
            self.needs = before
        else:
            self.needs = [n for n in self.needs.split() if n != "nothing"]
        for name in self.needs:
            if name not in before:
                raise Fail(f"{self.path}: Needs: {name}: no series before it "
                           "has that name")


def all_series(target, subjects):
    """The series that a target's patches make up, in order."""
    names = sorted(os.listdir(os.path.join(REPO, "patches", target)))
    found = [Series(target, n, subjects) for n in names
             if re.match(r"cover-[\w-]+\.txt$", n)]
    found.sort(key=lambda s: s.first)
    if not found or found[0].first:
        raise Fail(f"patches/{target}: no cover-NAME.txt begins with the first "
                   f"patch, '{subjects[0]}': write one; its first line is the "
                   "cover letter's subject, the second 'Begins with: ' and that "
                   "patch's subject, the text comes after an empty line")
    for series, after in zip(found, [*found[1:], None]):
        series.last = (after.first if after else len(subjects)) - 1
        if series.last < series.first:
            raise Fail(f"{series.path} and {after.path} begin with the same patch")
        series.resolve_needs(found)
    return found


class Stacks:
    """Commits of a tree, with series left out that others don't need."""

    def __init__(self, tree, ids, series):
        self.tree = tree
        self.ids = ids
        self.series = series
        self.made = {(): "base"}

    def below(self, series):
        """All that a series needs, and what that needs."""
        names = set(series.needs)
        for other in reversed(self.series):
            if other.name in names:
                names.update(other.needs)
        return tuple(s for s in self.series if s.name in names)

    def head(self, stack):
        """The last commit of these series, one on the other on the base."""
        if stack not in self.made:
            if list(stack) == self.series[:len(stack)]:
                self.made[stack] = self.ids[stack[-1].last]
            else:
                self.made[stack] = self.pick(self.head(stack[:-1]), stack)
        return self.made[stack]

    def pick(self, commit_id, stack):
        series = stack[-1]
        index = {"GIT_INDEX_FILE": os.path.join(self.tree, ".git/stack-index")}
        git(self.tree, "read-tree", commit_id, env=index)
        for sha in self.ids[series.first:series.last + 1]:
            diff = git(self.tree, "diff-tree", "-p", "--binary", "--full-index",
                       sha + "^", sha).encode("utf-8", "surrogateescape")
            code, log = git(self.tree, "apply", "--cached", "--whitespace=nowarn",
                            "--allow-empty", "-", check=False, data=diff, env=index)
            if code:
                subject = git(self.tree, "log", "-1", "--format=%s", sha).strip()
                on = "".join(f", {s.name}" for s in stack[:-1])
                raise Fail(f"{series.path}: '{subject}' does not apply on the base"
                           f"{on} alone: name the series that it needs in a line "
                           f"'Needs: NAME...', or reorder the patches\n{log}")
            made = git(self.tree, "write-tree", env=index).strip()
            text = git(self.tree, "cat-file", "commit", sha)
            text = re.sub(r"^tree .*\nparent .*", f"tree {made}\nparent " + git(
                self.tree, "rev-parse", commit_id).strip(), text, count=1)
            commit_id = git(self.tree, "hash-object", "-t", "commit", "-w",
                            "--stdin", data=text.encode(
                                "utf-8", "surrogateescape")).strip()
        return commit_id


def remove_mail(out):
    """Remove what mail() made in OUT; whatever else is there is not ours."""
    files = [os.path.join(d, f) for d, _, fs in os.walk(out) for f in fs]
    other = [f for f in files if not re.match(r"\d{4}-.*\.patch$",
                                              os.path.basename(f))]
    if files and not other and not any(
            os.path.basename(f) == "0000-cover-letter.patch"
            and "\nApplies to: Debian " in read(f) for f in files):
        other = files
    if other:
        raise Fail(f"{out} has files that 'make series' did not make, such as "
                   f"{other[0]}: name another directory with OUT=DIR, or "
                   "remove them")
    shutil.rmtree(out, ignore_errors=True)


def mail(target, tree, out):
    """Patches ready for git send-email, each series with its cover letter."""
    info = base_info(target)
    if not commits(tree):
        raise Fail(f"patches/{target} has no patches")
    remove_mail(out)
    ids, subjects = zip(*(line.split(" ", 1) for line in git(
        tree, "log", "--reverse", "--format=%H %s",
        "base..HEAD").splitlines()))
    series = all_series(target, subjects)
    stacks = Stacks(tree, ids, series)
    name, email = git(tree, "log", "-1",
                      "--format=%an%n%ae").strip().split("\n")
    prefix = os.environ.get("SUBJECT_PREFIX", info.get("prefix", "PATCH"))
    base = git(tree, "log", "-1", "--format=%s", "base").strip()
    for number, one in enumerate(series, 1):
        below = stacks.below(one)
        folder = os.path.abspath(os.path.join(out, f"{number}-{one.name}"))
        os.makedirs(folder)
        git(tree, "format-patch", "-q", "--cover-letter", "--no-renames", "-n",
            "--no-signature", "--abbrev=12", "--zero-commit",
            "--thread=shallow", f"--subject-prefix={prefix}", "-o", folder,
            f"{stacks.head(below)}..{stacks.head((*below, one))}",
            env={"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email,
                 "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email})
        letter = os.path.join(folder, "0000-cover-letter.patch")
        applies = [f"Applies to: {base}",
                   *(f"and the series: {other.subject}" for other in below)]
        write(letter, read(letter).replace("*** SUBJECT HERE ***", one.subject)
              .replace("*** BLURB HERE ***",
                       one.text + "\n\n" + "\n".join(applies)))
        for file in sorted(os.listdir(folder)):
            print(os.path.join(folder, file))


def layout(target):
    """Every whole file is named by exactly one patch; nothing is missing."""
    conf = TARGETS[target]
    errors = []
    named = {}
    for patch in patches(target):
        for inside, outside in patch.new:
            path = repo_path(target, inside, outside)
            if path in named:
                errors.append(f"{path}: named by {named[path]} and "
                              f"{patch.name}: keep one New-file line")
            named[path] = patch.name
            if not os.path.isfile(os.path.join(REPO, path)):
                errors.append(f"{path}: named by {patch.name}, is missing")
        if not patch.diff and not patch.new:
            errors.append(f"{patch.name}: changes nothing")
    for root in conf["roots"]:
        top = os.path.join(REPO, root)
        found = [top] if os.path.isfile(top) else [
            os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs]
        for path in (os.path.relpath(f, REPO) for f in found):
            if path not in named:
                errors.append(f"{path}: no patch in patches/{target} names "
                              "it: add a New-file line to the one that it "
                              "belongs to")
    inside = [i for patch in patches(target) for i, _ in patch.new]
    for line in (own_maintainers(target) or "").splitlines():
        if re.match(r"[A-Z]:", line) and not any(
                maintained_by(i, line) for i in inside):
            errors.append(f"{conf['maintainers']}: '{line}' names no whole file, "
                          "so no patch merges it")
    if errors:
        raise Fail("\n".join(errors))


SUBJECT_MAX = 71


def message_faults(patch, fixes):
    """What is wrong with a patch's message; FIXES: is it of a series of fixes?"""
    if len(patch.subject) > SUBJECT_MAX:
        yield (f"the subject has {len(patch.subject)} characters: shorten it to "
               f"{SUBJECT_MAX}")
    if not re.sub(r"(?m)^[A-Z][A-Za-z-]+: .*$", "", patch.body).strip():
        yield "no body: say what goes wrong without the patch, and what it does"
    if not re.search(r"^Signed-off-by: .* <.*>$", patch.body, re.M):
        yield "no Signed-off-by: add one (git commit -s)"
    tags = re.findall(r"^Fixes:.*$", patch.body, re.M)
    for tag in tags:
        if not re.fullmatch(r'Fixes: [0-9a-f]{12,40} \(".+"\)', tag):
            yield f"'{tag}' is not of the form 'Fixes: 123456789abc (\"subject\")'"
    if fixes and not tags and not re.search(r"^No Fixes tag: \S", patch.body, re.M):
        yield "no Fixes tag: add one, or a line 'No Fixes tag: REASON'"


def messages(target):
    """Every patch has a subject, a body and the tags that it should have."""
    found = patches(target)
    fixes = {}
    if any(re.match(r"cover-[\w-]+\.txt$", n) for n in os.listdir(
            os.path.join(REPO, "patches", target))):
        for one in all_series(target, [p.subject for p in found]):
            fixes.update({p.name: one.fixes
                          for p in found[one.first:one.last + 1]})
    errors = [f"{patch.name}: {fault}" for patch in found
              for fault in message_faults(patch, fixes.get(patch.name, False))]
    if errors:
        raise Fail("\n".join(errors))


def list_files(target, kind):
    new = set()
    changed = set()
    for patch in patches(target):
        new.update(inside for inside, _ in patch.new)
        changed.update(patch.touches())
    changed.update(["MAINTAINERS"] if own_maintainers(target) else [])
    print("\n".join(sorted(new if kind == "new" else changed - new)))


def main(argv):
    if len(argv) < 2 or argv[1] not in TARGETS:
        raise Fail(__doc__)
    verb, target, rest = argv[0], argv[1], argv[2:]
    if verb in ("tree", "overlay") and len(rest) == 2:
        make_tree(target, *rest, slim=verb == "overlay")
    elif verb == "mail" and len(rest) == 2:
        mail(target, *rest)
    elif verb == "refresh" and len(rest) in (1, 2):
        refresh(target, rest[0], rest[1] if len(rest) == 2 else REPO)
    elif verb == "layout" and not rest:
        layout(target)
    elif verb == "messages" and not rest:
        messages(target)
    elif verb == "files" and rest and rest[0] in ("changed", "new"):
        list_files(target, rest[0])
    else:
        raise Fail(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Fail as error:
        sys.exit(str(error))
