"""Small words that open a sentence or a clause, by language, in lower case."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: pronouns and words that point back: at the beginning of a sentence they name nothing that stands in it
POINTING = {
    "en": _words("""
        it it's its it'll he he's his him she she's her hers they they're they've their theirs them this that that's these
        those such here's
    """),
    "de": _words("""
        er sie es ihn ihm ihr ihre ihrem ihren ihrer ihres sein seine seinem seinen seiner seines dies diese diesem diesen
        dieser dieses solche solchem solchen solcher solches dabei dadurch dafür dagegen daher damit danach daneben daran
        darauf daraus darin darüber darum darunter davon davor dazu deren dessen deshalb deswegen jene jenem jenen jener jenes
    """),
    "fr": _words("""
        il elle ils elles ce c cet cette ces cela ça ceci celui celle ceux celles son sa ses leur leurs lui eux
    """),
    "es": _words("""
        él ella ello ellos ellas este esta esto estos estas ese esa eso esos esas aquel aquella aquello aquellos aquellas su
        sus suyo suya éste ésta éstos éstas ése ésa
    """),
    "it": _words("""
        egli lui lei essi esse esso essa loro questo questa questi queste quello quella quelli quelle ciò suo sua suoi sue
    """),
    "pt": _words("""
        ele ela eles elas este esta isto estes estas esse essa isso esses essas aquele aquela aquilo aqueles aquelas seu sua
        seus suas dele dela deles delas
    """),
    "nl": _words(
        "hij zij ze hem haar hun hen dit dat deze zo'n daarmee daarna daarom daardoor daarvan daarin daarvoor"
    ),
}
#: words that tie a sentence to the one before it, though it can mostly be understood without
LINKING = {
    "en": _words("""
        and but so or nor yet then also because which there therefore thus hence however otherwise instead meanwhile besides
        moreover furthermore again anyway well okay ok let's just basically actually presumably
    """),
    "de": _words("und aber denn doch sondern oder also auch sonst so dann dort jedoch trotzdem außerdem dennoch"),
    "fr": _words("et mais donc or ni car ainsi puis alors ensuite aussi cependant pourtant toutefois ou enfin"),
    "es": _words("y e pero pues entonces así luego también además o sino después aunque"),
    "it": _words("e ed ma però quindi dunque poi così anche o oppure inoltre infatti"),
    "pt": _words("e mas porém então assim depois também ou pois além"),
    "nl": _words("en maar dus want toen ook of echter bovendien toch"),
}
#: a speaker who says what comes, not what is: no title
CHATTING = {"en": _words("i i'm i'll i've i'd we'll we've you'll let's let please remember recall imagine suppose")}
#: begin a part of a sentence that is none of its own: a condition, a reason, a time
SUBORDINATE = {
    "en": _words("""
        when if because although though as while since after before where once until unless whenever wherever whether
        despite in on at with for during from by without to under over between among through within across unlike like
    """),
    "de": _words("""
        wenn weil obwohl als während seit nachdem bevor wo sobald bis falls da damit ob dass um ohne statt in im an am auf bei
        mit für von vom zu zum zur aus durch nach vor über unter zwischen
    """),
    "fr": _words("""
        quand si parce puisque comme lorsque pendant depuis après avant où dès tant que qu pour sans à au aux dans en sur sous
        avec par de du des entre selon malgré afin
    """),
    "es": _words("""
        cuando si porque como mientras desde después antes donde hasta que para sin a al en con por de del sobre bajo entre
        según aunque
    """),
    "it": _words(
        "quando se perché poiché come mentre dopo prima dove finché che per senza a al in con da di su tra fra"
    ),
    "pt": _words(
        "quando se porque como enquanto desde depois antes onde até que para sem a ao em no na com por de do da"
    ),
    "nl": _words(
        "wanneer als omdat hoewel terwijl sinds nadat voordat waar zodra totdat tenzij in op bij met voor van om"
    ),
}
#: after a comma they begin a clause of its own, without which the one before is still true: no "if", no "until"
JOINING = {
    "en": _words("""
        and but so or because since although though while whereas which who whose where for yet
    """),
    "de": _words("""
        und aber denn doch sondern oder weil obwohl während wo damit deshalb sodass sonst dann danach
    """),
    "fr": _words("et mais donc car parce puisque où puis tandis que qui dont"),
    "es": _words("y e pero porque pues donde sino aunque mientras que"),
    "it": _words("e ma perché poiché dove mentre che quindi"),
    "pt": _words("e mas porque pois onde embora enquanto que"),
    "nl": _words("en maar want omdat hoewel waar terwijl dus zodat"),
}
