"""The members of the simulated corp.

Pure. Knows what WeCom knows of a person; whether one is an agent of a desk is not WeCom's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Who opens a page in WeCom (D91023)."""

    MEMBER = "member"
    EXTERNAL = "external"  # a WeChat user: an openid, no userid
    LINKED = "linked"  # a member of a linked corp: CorpId/userid


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`userid` is written as the corp wrote it; WeCom compares it without case (D90196)."""

    userid: str
    name: str
    department: str
    position: str = ""
    kind: Kind = Kind.MEMBER
    is_in_scope: bool = True
    is_licensed: bool = True
    status: int = 1  # 1 active, 2 disabled, 4 not activated, 5 left (D90196)


IT: Final = "信息技术部"

# 20 employees, then the 4 members of the IT desk. Any member may open the H5 page; of the four, the
# demo seeds Zhao Min in both realms.
DEMO_PEOPLE: Final[tuple[Person, ...]] = (
    Person(userid="zhangwei", name="张伟", department="市场部", position="品牌经理"),
    Person(userid="liuyang", name="刘洋", department="市场部", position="活动策划"),
    Person(userid="sunlei", name="孙磊", department="市场部", position="设计师"),
    Person(userid="huangting", name="黄婷", department="销售一部", position="客户经理"),
    Person(userid="zhoujie", name="周杰", department="销售一部", position="销售总监"),
    Person(userid="wujing", name="吴静", department="销售二部", position="客户经理"),
    Person(userid="xuqiang", name="徐强", department="销售二部", position="渠道经理"),
    Person(userid="machao", name="马超", department="研发中心", position="后端工程师"),
    Person(userid="zhuhong", name="朱红", department="研发中心", position="测试工程师"),
    Person(userid="guojing", name="郭靖宇", department="研发中心", position="前端工程师"),
    Person(userid="hejun", name="何俊", department="研发中心", position="架构师"),
    Person(userid="gaoyuan", name="高媛", department="人力资源部", position="招聘主管"),
    Person(userid="linxia", name="林夏", department="人力资源部", position="薪酬专员"),
    Person(userid="luoping", name="罗平", department="财务部", position="会计"),
    Person(userid="liangyu", name="梁宇", department="财务部", position="出纳"),
    Person(userid="songyan", name="宋妍", department="行政部", position="行政主管"),
    Person(userid="tangbo", name="唐波", department="供应链部", position="采购"),
    Person(userid="hanmei", name="韩梅", department="客户成功部", position="顾问"),
    Person(
        userid="dengchao",
        name="邓超群",
        department="外包项目组",
        position="外包顾问",
        is_in_scope=False,
    ),
    Person(
        userid="fengxue",
        name="冯雪",
        department="客户成功部",
        position="实习生",
        is_licensed=False,
    ),
    Person(userid="lina", name="李娜", department=IT, position="IT 支持"),
    Person(userid="wangqiang", name="王强", department=IT, position="IT 支持"),
    Person(userid="zhaomin", name="赵敏", department=IT, position="IT 支持主管"),
    Person(userid="chenjie", name="陈杰", department=IT, position="网络工程师"),
)
